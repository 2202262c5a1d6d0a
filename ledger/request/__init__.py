"""The life of one request: what happened (events), where it stands (state), what may follow (decide)."""
