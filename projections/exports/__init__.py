"""Exports of the journal: files that auditors read, and check, with programs of their own."""
