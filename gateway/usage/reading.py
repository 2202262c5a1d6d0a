"""Reading counts out of decoded JSON that nobody vouches for: a count, an absence, or a problem with a name."""

import re
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from ledger.core.identifiers import MODEL_PATTERN

COUNT_MAX = 10**9
"""No call has more tokens than the catalog lets a model have; sums over a few calls stay in the ledger's range."""

WORD_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")

Block = Mapping[str, Any]


class Reader:
    """Collects the problems of one report while its fields are read. Lives for one call, holds nothing else."""

    def __init__(self, problems: tuple[str, ...] = ()) -> None:
        self.problems = list(problems)
        self.unsure = False
        """Whether a part, though not a total, could not be read: the report is partial then."""

    def note(self, problem: str) -> None:
        """Name a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def doubt(self, problem: str) -> None:
        """Name a problem after which the report is partial at best."""
        self.note(problem)
        self.unsure = True

    def count(self, block: Block, name: str, *, is_check: bool = False) -> int | None:
        """Return a count, or None where it is absent or no count; the latter is named.

        A field that is only a check (`total_tokens`) leaves the report as sure as it was.
        """
        value = block.get(name)
        if value is None:
            return None
        count = whole_number(value)
        if count is None:
            self.note(f"bad:{name}")
            self.unsure = self.unsure or not is_check
        return count

    def part(self, block: Block, name: str) -> int:
        """Return a count of which absence means none: the details of a total are left out where they are zero."""
        return self.count(block, name) or 0

    def side(self, block: Block, name: str) -> int | None:
        """Return a side's total; its absence is named."""
        if block.get(name) is None:
            self.note(f"absent:{name}")
        return self.count(block, name)

    def block(self, block: Block, name: str) -> Block:
        """Return a nested object, empty where it is absent."""
        value = block.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.doubt(f"bad:{name}")
            return {}
        return value

    def blocks(self, block: Block, name: str) -> list[Block]:
        """Return a nested list of objects, empty where it is absent."""
        value = block.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.doubt(f"bad:{name}")
            return []
        return value

    def clamp(self, name: str, count: int, ceiling: int) -> int:
        """Return a count lowered to what fits, and name it when that lowers it."""
        if count > ceiling:
            self.note(f"clamp:{name}")
            return ceiling
        return count

    def model(self, value: object) -> str | None:
        """Return a model's name as the ledger takes it, or None: an odd name must not stop a settlement."""
        return self._text(value, MODEL_PATTERN, "model")

    def word(self, value: object, name: str) -> str | None:
        """Return a short word such as a service tier, or None."""
        return self._text(value, WORD_PATTERN, name)

    def _text(self, value: object, pattern: re.Pattern[str], name: str) -> str | None:
        if value is None or value == "":
            return None
        if isinstance(value, str) and pattern.match(value):
            return value
        self.note(f"bad:{name}")
        return None


def whole_number(value: object) -> int | None:
    """Return a JSON number as a count, or None. `12.0` is twelve: JSON knows one kind of number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value <= COUNT_MAX else None
    # The finite check comes first: an ordering of a decimal that is no number raises.
    if isinstance(value, float | Decimal) and isfinite(value) and 0 <= value <= COUNT_MAX and value == int(value):
        return int(value)
    return None
