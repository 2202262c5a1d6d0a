"""The `eventsourcing` library's tracking recorder: how far each application has followed one book."""

from types import TracebackType
from typing import Self

from eventsourcing.persistence import IntegrityError, Tracking, TrackingRecorder

from ledger.store.recorder import Connections


class BookTracking(TrackingRecorder):
    """Remembers, for one book, the last position that each application has processed. It only ever grows."""

    def __init__(self, url: str, workspace_id: str) -> None:
        self.workspace_id = workspace_id
        self._connections = Connections(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the recorder's connections."""
        self._connections.close()

    def insert_tracking(self, tracking: Tracking) -> None:
        """Note that an application has processed a position. Raises IntegrityError when it had done so before."""
        moved = self._connections.fetch(
            "insert_tracking",
            workspace_id=self.workspace_id,
            application_name=tracking.application_name,
            notification_id=tracking.notification_id,
        )
        if not moved:
            raise IntegrityError(f"{tracking.application_name} had processed {tracking.notification_id} before")

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return the last position that an application has processed, or None when it has not begun."""
        rows = self._connections.fetch(
            "max_tracking_id", workspace_id=self.workspace_id, application_name=application_name
        )
        return rows[0][0] if rows else None
