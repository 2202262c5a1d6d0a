"""The catalog: buckets, providers, routes, models and rate cards, in the platform's own book."""
