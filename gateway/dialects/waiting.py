"""How long an upstream asks to wait, in every form; a date needs to be told the time."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

RESETS = ("requests", "tokens")
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?\Z")
_SPAN = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,9})ms)?\Z")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DATE = re.compile(
    rf"[A-Z][a-z]{{2}}, ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) ([0-9]{{2}}):([0-9]{{2}}):([0-9]{{2}}) GMT\Z"
)


def read_waiting(headers: Mapping[str, str], error: object = None, *, now: float | None = None) -> float | None:
    """Return for how many seconds an upstream asks to be left alone, or None where it doesn't say.

    A date says so only with the time of now, in seconds as Unix counts them; without, it is as good as nothing.
    """
    milliseconds = headers.get("retry-after-ms", "")
    if _NUMBER.match(milliseconds):
        return float(milliseconds) / 1000
    seconds = span_seconds(headers.get("retry-after", ""))
    if seconds is not None:
        return seconds
    then = date_seconds(headers.get("retry-after", "")) if now is not None else None
    if then is not None and now is not None:
        return max(0.0, then - now)
    delays = [seconds for text in _delays(error) if (seconds := span_seconds(text)) is not None]
    return max(delays) if delays else _until_reset(headers)


def span_seconds(text: str) -> float | None:
    """Return a span of time as seconds: `20`, `1.5`, `6m0s`, `120ms`; None for anything else."""
    if _NUMBER.match(text):
        return float(text)
    found = _SPAN.match(text)
    if found is None or not text:
        return None
    hours, minutes, seconds, milliseconds = (float(each or 0) for each in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def date_seconds(text: str) -> float | None:
    """Return a date of HTTP as Unix counts, or None; the forms before 1999 are none any more."""
    found = _DATE.match(text)
    if found is None:
        return None
    day, month, year, hour, minute, second = found.groups()
    try:
        date = datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp()


def _until_reset(headers: Mapping[str, str]) -> float | None:
    # What is used up tells which limit was hit; where nothing is, the sooner of both is tried.
    spent: list[float] = []
    others: list[float] = []
    for name in RESETS:
        seconds = span_seconds(headers.get(f"x-ratelimit-reset-{name}", ""))
        if seconds is not None:
            (spent if headers.get(f"x-ratelimit-remaining-{name}") == "0" else others).append(seconds)
    return max(spent) if spent else min(others, default=None)


def _delays(error: object) -> Iterator[str]:
    # Google's errors say it in their details.
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            yield delay
