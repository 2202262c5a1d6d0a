"""Plain text in at most 100 columns: titles, pairs, tables and wrapped sentences, measured as a terminal shows them."""

from collections.abc import Iterable, Iterator, Sequence
from unicodedata import combining, east_asian_width

COLUMNS = 100
INDENT = "  "
GAP = "  "
LABEL = 16
"""Columns of the names on the left."""


def width_of(text: str) -> int:
    """Return how many columns a text takes: a Chinese character takes two."""
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def printable(text: str) -> str:
    """Return a text that can move no cursor and turn no line around."""
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in text)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return a text filled up to a width."""
    blank = " " * (width - width_of(text))
    return blank + text if right else text + blank


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a text, broken at blanks, and inside a word only where it is longer than a line."""
    line = ""
    for word in printable(text).split():
        if line and width_of(line) + 1 + width_of(word) > width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
        while width_of(line) > width:
            head = fitting(line, width)
            yield head
            line = line[len(head) :]
    yield line


def fitting(text: str, width: int) -> str:
    """Return the longest beginning of a text that fits, of at least one character."""
    size = 1
    while size < len(text) and width_of(text[: size + 1]) <= width:
        size += 1
    return text[:size]


def title(text: str) -> list[str]:
    """Return the heading of a part of the page, after an empty line."""
    return ["", *wrapped(text.upper(), COLUMNS)]


def sentence(text: str) -> list[str]:
    """Return a sentence, indented."""
    return [INDENT + line for line in wrapped(text, COLUMNS - len(INDENT))]


def pair(label: str, text: str | None) -> list[str]:
    """Return a name with its value, or nothing where there is no value."""
    if text is None:
        return []
    first, *more = wrapped(text, COLUMNS - len(INDENT) - LABEL)
    blank = INDENT + " " * LABEL
    if width_of(label) >= LABEL:
        return [*sentence(label), *(blank + line for line in (first, *more))]
    return [f"{INDENT}{pad(label, LABEL)}{first}".rstrip(), *(blank + line for line in more)]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Return a table whose first `left` columns are texts, the others figures; empty columns are left out.

    One that would be too wide is written row by row, as names with their values.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    if not cells:
        return []
    shown = [at for at in range(len(header)) if any(row[at] for row in cells)]
    grid = [[row[at] for at in shown] for row in (list(header), *cells)]
    widths = [max(width_of(row[at]) for row in grid) for at in range(len(shown))]
    if len(INDENT) + sum(widths) + len(GAP) * (len(widths) - 1) > COLUMNS:
        return [line for row in cells for line in record(header, row)]
    return [
        INDENT
        + GAP.join(
            pad(cell, width, right=place >= left) for cell, width, place in zip(row, widths, shown, strict=True)
        ).rstrip()
        for row in grid
    ]


def record(header: Sequence[str], row: Sequence[str]) -> list[str]:
    """Return one row of a table that is too wide, as names with their values."""
    return [line for name, cell in zip(header, row, strict=True) if cell for line in pair(name, cell)]
