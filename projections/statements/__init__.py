"""A customer's statement of one bucket and month: what was there, what came in, what was charged, what is left."""
