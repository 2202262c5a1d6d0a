"""The statements of the read side."""
