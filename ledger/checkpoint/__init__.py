"""Checkpoints: one signed note over the heads of all books. Pure: trees, notes and signatures."""
