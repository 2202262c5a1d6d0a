"""Calls to providers: one pool of connections, the provider's own headers, and errors by name."""
