"""Balances and turnovers of accounts at any position, recorded time or effective time, of one book or of all."""
