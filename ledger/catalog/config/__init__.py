"""The configuration file `route-ledger.toml`: parsed, checked, and compared with the catalog. Pure."""
