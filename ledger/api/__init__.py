"""HTTP for posting: `/ledger/v1`, with health, metrics, the API's own description and its problems."""
