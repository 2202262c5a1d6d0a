"""`route-ledger audit`: exports, checkpoints, verification, and who did what."""

from cyclopts import App

__all__ = ["audit_app"]

audit_app = App(name="audit", help="Exports of the journal, signed checkpoints, verification, and who did what.")
