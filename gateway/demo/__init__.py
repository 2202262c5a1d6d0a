"""What the demo serves."""
