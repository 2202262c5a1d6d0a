"""Margin per route: what customers owe and paid in a bucket's unit, beside what providers bill in theirs."""
