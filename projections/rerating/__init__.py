"""Re-rating: what the settled requests of a route would have been charged under another of its rate cards."""
