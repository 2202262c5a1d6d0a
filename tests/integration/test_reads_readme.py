"""`projections/README.md` says what the code does: its pages of the API, and the terms of an explanation."""

import re
from types import SimpleNamespace
from typing import Any

from litestar.routes import HTTPRoute

from ledger.api.command_table import BASE_PATH
from projections.api.app import create_read_router
from projections.change.tallies import TERMS
from tests.source_tree import ROOT

PAGE = (ROOT / "projections" / "README.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> list[str]:
    """Return what stands in code marks in the first column of every table with this heading."""
    found = []
    inside = False
    for line in PAGE.splitlines():
        inside = line.startswith(f"| {heading} |") or (inside and line.startswith("|"))
        if inside and not line.startswith("|--"):
            found += re.findall(r"`([^`]+)`", line.split("|")[1])
    return found


def test_every_page_of_the_api_is_on_the_page() -> None:
    """The table lists all that can be read, and nothing else."""
    nothing: Any = SimpleNamespace()
    router = create_read_router(nothing, nothing)
    paths = {route.path.removeprefix(BASE_PATH) for route in router.routes if isinstance(route, HTTPRoute)}
    plain = [re.sub(r"\{(\w+?)(?:_id)?:str\}", r"{\1}", path) for path in paths]
    # The wallets as they are live are the write side's own page.
    assert sorted(first_cells("path")) == sorted(["/wallets/{workspace}", *plain])


def test_every_term_of_an_explanation_is_on_the_page() -> None:
    """Each term stands once in one of the two tables."""
    assert sorted(first_cells("term")) == sorted(TERMS)
