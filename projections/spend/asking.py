"""What may be asked of spend: texts as they come from a query or a command line → a question. Pure.

Periods run from their first instant to just before their end. A date is the day's first instant in the zone.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal, get_args

import msgspec
from msgspec.structs import astuple

from ledger.core.amounts import UNIT_PATTERN
from ledger.core.commands import Instant, to_microseconds
from ledger.core.identifiers import NAME_PATTERN
from projections.days import day_of, first_instant
from projections.route_ledger.spending import QUARTER_MICROSECONDS
from projections.spend.zones import EARLIEST, day_edges, hour_edges, is_midnight, zone_named

__all__ = [
    "CHANGE_DIMENSIONS", "DAYS_MAX", "DIMENSIONS", "DIMENSIONS_MAX", "EVERY_NAMED", "HOURS_DAYS_MAX", "MEASURE_NAMED",
    "AskedWrongly", "ChangeQuestion", "Every", "Measure", "PeriodAsked", "Seen", "change_question", "checked",
    "dimensions_of", "edges_of", "spend_period", "zone_of",
]  # fmt: skip

Measure = Literal["charge", "cost"]
Every = Literal["hour", "day", "none"]
EVERY_NAMED: dict[str, Every] = {name: name for name in get_args(Every)}
MEASURE_NAMED: dict[str, Measure] = {name: name for name in get_args(Measure)}

DIMENSIONS = (
    "workspace", "project", "key", "workflow", "run", "model", "route", "tier", "provider", "end_user", "step",
)  # fmt: skip
"""What spend is told apart by, beside the bucket; statements know each by its place here."""

CHANGE_DIMENSIONS = DIMENSIONS[:8]
DIMENSIONS_MAX = 3
DAYS_DEFAULT = 7
DAYS_MAX = 1100
HOURS_DAYS_MAX = 35
"""How many days a period may have, and one that is told by the hour."""

LATEST = to_microseconds(datetime(9999, 1, 1, tzinfo=UTC))
MOMENT_RULE = (
    "it is a day such as 2026-11-21, or a quarter of an hour such as 2026-11-21T10:15:00Z, between 1980 and 9999"
)
DAY_PATTERN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
DAY_MICROSECONDS = 86_400_000_000


class AskedWrongly(ValueError):
    """A text that means nothing here: which one, and what it must be."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class PeriodAsked(msgspec.Struct, frozen=True):
    """From an instant until before another, in microseconds since 1970."""

    begin: int
    end: int


class Seen(msgspec.Struct, frozen=True):
    """Whose spend is looked at; None is everything. A customer sees neither cost nor what no balance has paid."""

    workspace_id: str | None = None
    project_id: str | None = None
    api_key_id: str | None = None
    is_customer: bool = False


class ChangeQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which amount is compared between which periods; `by` is the dimension that is to be seen apart."""

    measure: Measure
    bucket: str | None
    unit: str | None
    before: PeriodAsked
    after: PeriodAsked
    zone: str
    by: str | None


def change_question(asked: Mapping[str, str], zone_name: str, now: int) -> ChangeQuestion:
    """Return the question that texts ask: measure, bucket, unit, from, to, against, by. Raises AskedWrongly.

    Without a period it is the last seven full days; without `against`, what lay directly before.
    """
    zone = zone_of(zone_name)
    measure = MEASURE_NAMED.get(asked.get("measure", "charge"))
    if measure is None:
        raise AskedWrongly("measure", f"it is {' or '.join(MEASURE_NAMED)}")
    by = asked.get("by")
    if by is not None and by not in CHANGE_DIMENSIONS:
        raise AskedWrongly("by", f"it is one of {', '.join(CHANGE_DIMENSIONS)}")
    after = period_of(asked, zone, default_end=first_instant(day_of(now, zone), zone))
    return ChangeQuestion(
        measure=measure, bucket=named(asked, "bucket"), unit=unit_of(asked), before=earlier(asked, after, zone),
        after=after, zone=zone_name, by=by,
    )  # fmt: skip


def spend_period(asked: Mapping[str, str], zone: tzinfo, now: int) -> PeriodAsked:
    """Return the period that texts ask for; without any seven days, today the last of them. Raises AskedWrongly."""
    tomorrow = first_instant(day_of(now, zone) + timedelta(days=1), zone)
    return period_of(asked, zone, default_end=tomorrow)


def zone_of(name: str) -> tzinfo:
    """Return a time zone. Raises AskedWrongly."""
    zone = zone_named(name)
    if zone is None:
        raise AskedWrongly("zone", "it is a name of the time zone database, such as Asia/Shanghai")
    return zone


def dimensions_of(text: str | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return up to three different dimensions out of a text with commas. Raises AskedWrongly."""
    names = tuple(text.split(",")) if text else ()
    if len(names) > DIMENSIONS_MAX or len(set(names)) < len(names) or not set(names) <= set(allowed):
        raise AskedWrongly("by", f"it is up to {DIMENSIONS_MAX} of {', '.join(allowed)}, with commas between them")
    return names


def edges_of(period: PeriodAsked, every: Every, zone: tzinfo) -> list[int]:
    """Return where the hours or days of a period begin; one edge for the whole of it. Raises AskedWrongly."""
    if every == "none":
        return [period.begin]
    if every == "day":
        return day_edges(period.begin, period.end, zone)
    if period.end - period.begin > HOURS_DAYS_MAX * DAY_MICROSECONDS:
        raise AskedWrongly(
            "every", f"by the hour a period has at most {HOURS_DAYS_MAX} days: ask by the day, or for less"
        )
    return hour_edges(period.begin, period.end, zone)


def period_of(asked: Mapping[str, str], zone: tzinfo, default_end: int) -> PeriodAsked:
    """Return the period from `from` until before `to`; without a begin, seven days."""
    end = moment_of(asked, "to", zone)
    begin = moment_of(asked, "from", zone)
    if end is None:
        end = default_end
    if begin is None:
        begin = first_instant(day_of(end, zone) - timedelta(days=DAYS_DEFAULT), zone)
    return checked(PeriodAsked(begin, end))


def checked(period: PeriodAsked) -> PeriodAsked:
    """Return a period that is one: quarters of an hour, its begin before its end, and not too long."""
    if period.begin >= period.end:
        raise AskedWrongly("from", "it must lie before `to`, which is today where it is left out")
    if period.end - period.begin > DAYS_MAX * DAY_MICROSECONDS:
        raise AskedWrongly("from", f"a period has at most {DAYS_MAX} days")
    if period.begin < EARLIEST or period.end > LATEST or any(each % QUARTER_MICROSECONDS for each in astuple(period)):
        raise AskedWrongly("from", MOMENT_RULE)
    return period


def earlier(asked: Mapping[str, str], after: PeriodAsked, zone: tzinfo) -> PeriodAsked:
    """Return the period that another is compared with: as many days where that has whole days, else as long."""
    days = None
    if is_midnight(after.begin, zone) and is_midnight(after.end, zone):
        days = day_of(after.end, zone) - day_of(after.begin, zone)
    begin = moment_of(asked, "against", zone)
    if begin is None:
        if days is None:
            return PeriodAsked(2 * after.begin - after.end, after.begin)
        return PeriodAsked(first_instant(day_of(after.begin, zone) - days, zone), after.begin)
    if days is not None and is_midnight(begin, zone):
        end = first_instant(day_of(begin, zone) + days, zone)
    else:
        end = begin + after.end - after.begin
    if end > after.begin:
        raise AskedWrongly("against", "the earlier period is as long as the later one, and ends before that begins")
    return PeriodAsked(begin, end)


def moment_of(asked: Mapping[str, str], field: str, zone: tzinfo) -> int | None:
    """Return the instant of a text: a day's first one in the zone, or one that is stated with its own."""
    text = asked.get(field)
    if text is None:
        return None
    try:
        if DAY_PATTERN.match(text):
            instant = first_instant(date.fromisoformat(text), zone)
        else:
            exact: datetime = msgspec.convert(text, Instant)
            instant = to_microseconds(exact)
    except (ValueError, OverflowError, msgspec.ValidationError):
        raise AskedWrongly(field, MOMENT_RULE) from None
    if instant % QUARTER_MICROSECONDS or not EARLIEST <= instant <= LATEST:
        raise AskedWrongly(field, MOMENT_RULE)
    return instant


def named(asked: Mapping[str, str], field: str) -> str | None:
    """Return a text that is a name."""
    text = asked.get(field)
    if text is not None and not NAME_PATTERN.match(text):
        raise AskedWrongly(field, "nothing has such a name")
    return text


def unit_of(asked: Mapping[str, str]) -> str | None:
    """Return a text that is a unit's code."""
    text = asked.get("unit")
    if text is not None and not UNIT_PATTERN.match(text):
        raise AskedWrongly("unit", "it is a unit's code, such as USD")
    return text
