"""The workspace as a tenant: projects, API keys, their scopes and limits, closed periods."""
