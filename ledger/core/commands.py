"""What every command has in common, and the text that makes a repeat recognisable."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment with a time zone: without one it would be another moment on every machine."""


class Command(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
):
    """A wish to change one workspace's book. Bodies of HTTP posts have the same fields.

    `effective_at` is when it happened, the time of recording when absent. Past `valid_until` the command is
    refused instead of decided. `reason` is a person's, for acts of finance and admin.
    """

    workspace_id: str = ""
    effective_at: Instant | None = None
    valid_until: Instant | None = None
    trace_id: str | None = None
    reason: str | None = None


def to_microseconds(instant: datetime) -> int:
    """Return microseconds since 1970 (UTC) of an instant with a time zone."""
    return (instant - EPOCH) // MICROSECOND


def to_datetime(microseconds: int) -> datetime:
    """Return the instant, in UTC, of microseconds since 1970."""
    return EPOCH + microseconds * MICROSECOND
