"""The receipt of one request, folded from its own events: which wallet it burned, and why. Pure."""
