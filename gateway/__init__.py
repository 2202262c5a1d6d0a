"""The edge: the HTTP application, the command line, and the client of the ledger."""
