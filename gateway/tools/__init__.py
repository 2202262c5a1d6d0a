"""What each subcommand does. Imported only when it runs, so that help appears at once."""
