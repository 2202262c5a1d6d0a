"""The subcommands of finance: balances at any time, statements, periods, prices corrected afterwards."""

from cyclopts import App

__all__ = ["add_finance"]


def add_finance(app: App) -> None:
    """Register the commands of finance with the command line."""
