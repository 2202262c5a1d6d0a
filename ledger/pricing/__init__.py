"""Prices without I/O: usage in disjoint parts, dated rate cards, and rating of one by the other."""
