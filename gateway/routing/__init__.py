"""Which routes a call may take, what it may cost at most, and when it moves on. Pure."""
