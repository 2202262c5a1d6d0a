"""What an export is asked for: periods by day or instant, in which zone, and what means nothing."""

from datetime import datetime

import pytest

from ledger.core.commands import to_microseconds
from projections.exports.asking import scope_asked
from projections.exports.scope import Scope
from projections.spend.asking import AskedWrongly


def at(text: str) -> int:
    """Return microseconds of an instant."""
    return to_microseconds(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("asked", "own_zone", "scope"),
    [
        ({}, None, Scope()),
        ({}, "Asia/Shanghai", Scope("acme", zone="Asia/Shanghai")),
        ({"from": "2025-06-01"}, None, Scope(None, at("2025-06-01T00:00:00Z"), None, "UTC")),
        ({"to": "2025-06-01"}, "Asia/Shanghai", Scope("acme", None, at("2025-05-31T16:00:00Z"), "Asia/Shanghai")),
        (
            {"from": "2025-06-01", "to": "2025-07-01", "zone": "America/New_York"},
            "Asia/Shanghai",
            Scope("acme", at("2025-06-01T04:00:00Z"), at("2025-07-01T04:00:00Z"), "America/New_York"),
        ),
        (
            {"from": "2025-06-01T10:00:00.000001+08:00"},
            None,
            Scope(None, at("2025-06-01T02:00:00.000001Z"), None, "UTC"),
        ),
    ],
)
def test_a_period_is_of_days_or_instants(asked: dict[str, str], own_zone: str | None, scope: Scope) -> None:
    """Days begin in the zone that is asked for, else the workspace's own, UTC over all; instants name their own."""
    assert scope_asked(asked, scope.workspace_id, own_zone) == scope


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2025-02-30"}, "from"),
        ({"to": "2025-06-01T00:00:00"}, "to"),
        ({"from": "1969-12-31"}, "from"),
        ({"to": "9999-01-01"}, "to"),
        ({"zone": "Mars"}, "zone"),
        ({"from": "2025-06-02", "to": "2025-06-02"}, "to"),
    ],
)
def test_what_means_nothing_is_named(asked: dict[str, str], field: str) -> None:
    """The parameter that is wrong is named: no such day, no zone with an instant, a period without any time."""
    with pytest.raises(AskedWrongly) as wrong:
        scope_asked(asked, None, None)
    assert wrong.value.field == field
