"""The book of record: commands in, immutable events out, every balance replayable."""
