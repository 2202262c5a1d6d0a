"""The edge: what clients call in OpenAI's and Anthropic's dialects, and how each call finds its way."""
