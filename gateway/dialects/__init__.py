"""What clients and upstreams say to each other: calls, answers, streams, failures and errors of every dialect.

Pure functions and readers over bytes; nothing here opens a connection, reads a clock or knows a price. Bytes
that nobody has to change are not decoded and written again: they pass as they came.
"""
