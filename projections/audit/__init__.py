"""Proof that nobody touched the books: every chain, entry, leg and balance against the events, in parallel."""
