"""Tables of a configuration file, read field by field: whatever is wrong becomes a problem, and reading goes on.

A value is never repeated in a problem: it could be a secret that somebody wrote into the wrong place.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Any

import msgspec

from ledger.core.commands import to_microseconds
from ledger.core.identifiers import check_pattern, check_text
from ledger.core.refusals import Refused
from ledger.pricing.rate_cards import parse_rate
from ledger.pricing.usage import PARTS

TYPE_NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a decimal number",
    dict: "a table",
    list: "a list",
    datetime: "an instant",
    date: "a date",
    time: "a time",
}
"""What people call the types of TOML. `bool` stands before `int`, which it also is."""


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong: where in the file (or the catalog), and a sentence for a person."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigurationInvalid(ValueError):
    """A file can't be applied. `problems` has all that is wrong, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Table:
    """One table of the file. Each field is asked for once; `close` lists the keys that nobody asked for."""

    def __init__(self, place: str, values: dict[str, Any], problems: list[Problem]) -> None:
        self.place = place
        self.values = values
        self.problems = problems
        self._known: set[str] = set()

    def problem(self, key: str, message: str) -> None:
        """Note what is wrong with a field, or with the table as a whole when the key is empty."""
        shown = key if key.isprintable() and len(key) <= 128 else repr(key[:128])
        self.problems.append(Problem(f"{self.place}.{shown}".strip("."), message))

    def has(self, key: str) -> bool:
        """Return whether the field is stated at all."""
        return key in self.values

    def close(self) -> None:
        """List every key that the table should not have."""
        for key in self.values:
            if key not in self._known:
                near = get_close_matches(key, self._known, n=1)
                self.problem(key, "unknown key" + (f"; did you mean {near[0]}?" if near else ""))

    def _take(self, key: str, kind: type, required: bool) -> Any:
        """Return a field of the right type, else None with a problem if it is wrong or missed."""
        self._known.add(key)
        value = self.values.get(key)
        if value is None:
            if required:
                self.problem(key, f"is missing: {TYPE_NAMES[kind]} is needed")
            return None
        if type(value) is not kind:
            self.problem(key, f"must be {TYPE_NAMES[kind]}, not {TYPE_NAMES[type(value)]}")
            return None
        return value

    def name(self, key: str, pattern: re.Pattern[str], *, required: bool = True) -> str:
        """Return a text that has a pattern; empty when it is absent or wrong."""
        value = self._take(key, str, required)
        if value is None:
            return ""
        try:
            return check_pattern(value, pattern, "it")
        except Refused as refused:
            self.problem(key, refused.detail)
            return ""

    def text(self, key: str, length_max: int, default: str = "") -> str:
        """Return a free text of limited length, or the default."""
        value = self._take(key, str, False)
        if value is None:
            return default
        try:
            return check_text(value, "it", length_max)
        except Refused as refused:
            self.problem(key, refused.detail)
            return default

    def whole(self, key: str, minimum: int, maximum: int, *, required: bool = False) -> int | None:
        """Return a whole number within its bounds; None when it is absent or wrong."""
        value: int | None = self._take(key, int, required)
        if value is None or minimum <= value <= maximum:
            return value
        self.problem(key, f"must be between {minimum} and {maximum}")
        return None

    def number(self, key: str, minimum: float, maximum: float) -> float | None:
        """Return a number within its bounds, whole or not; None when it is absent or wrong."""
        kind = float if type(self.values.get(key)) is float else int
        value: float | None = self._take(key, kind, False)
        if value is None or minimum <= value <= maximum:
            return value
        self.problem(key, f"must be between {minimum:g} and {maximum:g}")
        return None

    def flag(self, key: str) -> bool:
        """Return true or false; false when it is absent."""
        return bool(self._take(key, bool, False))

    def choice(self, key: str, allowed: Collection[str], default: str | None = None) -> str:
        """Return one of a closed list, or the default; required where there is none."""
        value = self._take(key, str, default is None)
        if value is None:
            return default or ""
        if value not in allowed:
            self.problem(key, f"must be one of {', '.join(allowed)}")
            return default or ""
        return str(value)

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; empty with a problem when it is anything else."""
        values = self._take(key, list, True) or []
        if all(type(value) is str for value in values):
            return list(values)
        self.problem(key, "must be a list of texts")
        return []

    def instant(self, key: str) -> int | None:
        """Return an instant with a time zone in microseconds since 1970, or None."""
        value: datetime | None = self._take(key, datetime, False)
        if value is None:
            return None
        if value.utcoffset() is None:
            self.problem(key, "needs a time zone, such as 2026-09-01T00:00:00Z")
            return None
        if value.year < 1970:
            self.problem(key, "must not lie before 1970")
            return None
        return to_microseconds(value)

    def table(self, key: str) -> "Table | None":
        """Return a table within this one, or None."""
        value = self._take(key, dict, False)
        return None if value is None else Table(f"{self.place}.{key}".strip("."), value, self.problems)

    def tables(self, key: str, name_key: str) -> Iterator["Table"]:
        """Yield the tables of a list, placed by their names where they have one."""
        place = f"{self.place}.{key}".strip(".")
        for number, value in enumerate(self._take(key, list, False) or [], start=1):
            if not isinstance(value, dict):
                self.problem(key, f"must be tables, each under [[{place}]]")
                continue
            name = value.get(name_key)
            is_plain = isinstance(name, str) and name.isprintable() and 0 < len(name) <= 128
            yield Table(f"{place}.{name}" if is_plain else f"{place} #{number}", value, self.problems)

    def rate(self, key: str) -> str | None:
        """Return a rate as plain decimal text; None when it is absent or wrong."""
        self._known.add(key)
        value = self.values.get(key)
        if type(value) is float:
            self.problem(key, 'write it in quotes, as "0.25": a TOML float does not hold 0.1 exactly')
            return None
        if type(value) is int:
            value = str(value) if abs(value) < 10**13 else "too long"
        if value is None:
            return None
        if type(value) is not str:
            self.problem(key, f'must be decimal text such as "2.50", not {TYPE_NAMES[type(value)]}')
            return None
        try:
            parse_rate(value)
        except Refused:
            self.problem(key, 'must be decimal digits such as "2.50", at most 12 on each side of the point')
            return None
        return plain_rate(value)

    def rates(self, key: str) -> dict[str, str]:
        """Return the rates of parts, in the parts' own order."""
        table = self.table(key)
        if table is None:
            return {}
        found = {part: table.rate(part) for part in PARTS}
        table.close()
        return {part: rate for part, rate in found.items() if rate is not None}


def plain_rate(text: str) -> str:
    """Return a rate without zeros that say nothing, so that `2.50` and `2.5` are one price."""
    return text.rstrip("0").rstrip(".") if "." in text else text
