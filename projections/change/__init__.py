"""Why charge or cost differs between two periods: an explanation that adds up to the last unit. Pure."""
