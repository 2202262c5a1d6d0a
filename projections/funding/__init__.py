"""What came in through each source of payments, tied out: the account against the events, and the memos beside."""
