"""PostgreSQL: the only part of the book of record that does I/O. Opened through `ledger.service`."""
