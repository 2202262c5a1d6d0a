"""Named SQL of the write side."""
