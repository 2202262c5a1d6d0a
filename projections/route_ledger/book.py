"""The requests of one book while a page of its events is applied: what begins, what changes, what that adds to spend.

Pure: whoever reads and writes the rows gives a book those that the page's events belong to.
"""

from ledger.events import REQUEST_STREAM, Fact
from projections.route_ledger.folding import begin_row, fold_row
from projections.route_ledger.rows import RequestRow
from projections.route_ledger.spending import Spending, add_row

__all__ = ["RouteBook"]


class RouteBook:
    """One book's rows. `rows` holds those that began before the page, as they stand; put them there first."""

    __slots__ = ("begun", "changed", "generation", "rows", "taken", "workspace_id")

    def __init__(self, workspace_id: str, generation: int) -> None:
        self.workspace_id = workspace_id
        self.generation = generation
        self.rows: dict[str, RequestRow] = {}
        self.begun: dict[str, RequestRow] = {}
        self.changed: dict[str, RequestRow] = {}
        self.taken: Spending = {}
        """What the rows had added to spend before they changed, to be taken back."""

    def apply(self, position: int, stream: str, tag: str, recorded_at: int, fact: Fact) -> None:
        """Add one event. Raises, and leaves everything as it was, for an event that cannot be applied."""
        if not stream.startswith(REQUEST_STREAM):
            return
        request_id = stream[len(REQUEST_STREAM) :]
        row = self.begun.get(request_id) or self.changed.get(request_id)
        if row is not None:
            fold_row(row, position, recorded_at, fact)
            return
        row = self.rows.get(request_id)
        if row is None:
            begun = begin_row(self.workspace_id, self.generation, request_id, position, recorded_at, fact)
            if begun is not None:
                self.begun[request_id] = begun
            return
        # What is taken back here is added again by `spending`, changed or not.
        add_row(self.taken, row, -1)
        self.changed[request_id] = row
        fold_row(row, position, recorded_at, fact)

    def spending(self) -> Spending:
        """Return what the page changes in what was spent. To be asked once, when all events are applied."""
        for rows in (self.begun, self.changed):
            for row in rows.values():
                add_row(self.taken, row, 1)
        return self.taken
