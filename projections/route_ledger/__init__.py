"""The route ledger: a row for each request, and from the rows what was spent. Pure but for `writing`."""
