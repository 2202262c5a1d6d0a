"""The figures of one run, the targets they are held against, and the table and JSON that say so."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from types import MappingProxyType

import msgspec

NONE: Mapping[str, float] = MappingProxyType({})
SECTIONS = {
    "a": "commands in process",
    "b": "the floor: the same event rows by plain psycopg arrays",
    "c": "the naive way: one transaction per command, SELECT … FOR UPDATE",
    "d": "commands over HTTP",
    "e": "an empty Litestar endpoint on the same server",
    "f": "processes on the same books",
    "g": "rebuild and replay",
    "h": "bytes and memory",
    "i": "calls through the gateway, hold and settlement committed: 1 KB prompt, 300 bytes of answer in 20 chunks",
    "j": "the same calls through a pass-through without books on the same server and client",
    "k": "the same calls straight to the demo's upstream",
    "l": "lag of the projections while the books are written as fast as can be, followers in a process of their own",
    "m": "building the projections anew from a history of two weeks",
    "n": "a receipt of that history by HTTP",
    "o": "a page of the route ledger by HTTP, of 50 requests where nothing else is said or there are less",
    "p": "why spend changed between the history's weeks, and spend itself, by HTTP",
    "q": "bytes of the read side per request",
    "r": "a year of books: written, and the projections built from it",
    "s": "balances at moments of that year by HTTP",
    "t": "a customer's statement of a month of that year by HTTP",
    "u": "exports of that year, each in a process of its own; plain text of a month",
    "v": "verification of that year: audit verify, replay --verify, and verify-export of a month",
}


class Figure(msgspec.Struct, frozen=True):
    """One measurement: its samples, their median, and what else was seen while it was taken."""

    section: str
    name: str
    unit: str
    median: float
    samples: list[float]
    details: dict[str, float]


class Target(msgspec.Struct, frozen=True):
    """What a figure or a ratio of two should be, and whether it is. No target makes a mere ratio."""

    section: str
    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def verdict(self) -> str:
        """Say whether the target was reached."""
        if self.at_least is not None:
            return f"≥ {number(self.at_least)}: {'reached' if self.value >= self.at_least else 'MISSED'}"
        if self.at_most is not None:
            return f"≤ {number(self.at_most)}: {'reached' if self.value <= self.at_most else 'MISSED'}"
        return ""


class Report:
    """Gathers figures and targets while the benchmarks run."""

    def __init__(self) -> None:
        self.machine: dict[str, str] = {}
        self.figures: list[Figure] = []
        self.targets: list[Target] = []

    def add(
        self, section: str, name: str, samples: Sequence[float], unit: str = "/s", details: Mapping[str, float] = NONE
    ) -> float:
        """Note a measurement and return its median. Details have their units in their names."""
        assert samples
        assert all(sample > 0 for sample in samples), f"{name}: {samples}"
        figure = Figure(section, name, unit, median(samples), list(samples), dict(details))
        self.figures.append(figure)
        return figure.median

    def median_of(self, section: str, name: str) -> float:
        """Return what was measured before."""
        return next(figure.median for figure in self.figures if (figure.section, figure.name) == (section, name))

    def want(
        self, section: str, name: str, value: float, unit: str = "×",
        at_least: float | None = None, at_most: float | None = None,
    ) -> None:  # fmt: skip
        """Note a ratio or a figure, with what it should be if anything."""
        self.targets.append(Target(section, name, value, unit, at_least, at_most))

    def text(self) -> str:
        """Return everything as a table of plain text."""
        lines = [f"  {name:<12} {value}" for name, value in self.machine.items()]
        for section, title in SECTIONS.items():
            rows = [figure_row(figure) for figure in self.figures if figure.section == section]
            rows += [target_row(target) for target in self.targets if target.section == section]
            if rows:
                lines += ["", f"({section}) {title}", *rows]
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        content = {
            "machine": self.machine,
            "figures": self.figures,
            "targets": [{**msgspec.structs.asdict(target), "verdict": target.verdict} for target in self.targets],
        }
        path.write_bytes(msgspec.json.format(msgspec.json.encode(content)))


def figure_row(figure: Figure) -> str:
    """Return a measurement as a line: its median, and its extremes where it was taken more than once."""
    more = [f"{name} {number(value)}" for name, value in figure.details.items()]
    if len(figure.samples) > 1:
        more.insert(0, f"{number(min(figure.samples))} – {number(max(figure.samples))} in {len(figure.samples)} rounds")
    return f"  {figure.name:<64} {number(figure.median):>10} {figure.unit:<6} {', '.join(more)}".rstrip()


def target_row(target: Target) -> str:
    """Return a ratio as a line, with its verdict."""
    return f"  → {target.name:<62} {number(target.value):>10} {target.unit:<6} {target.verdict}".rstrip()


def counted(count: int, thing: str) -> str:
    """Return how many things there are, in words."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s" if thing[-1] != "s" else "es")


def number(value: float) -> str:
    """Return a number with three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
