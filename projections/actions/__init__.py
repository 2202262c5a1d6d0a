"""Who did what: every event that no gateway wrote, with who, when, why, and what changed."""
