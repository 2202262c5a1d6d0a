"""The books as a gateway uses them: in its process or on a ledger elsewhere, and a spool for when they are away."""
