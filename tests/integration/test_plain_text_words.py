"""Words that come from outside never break a file's syntax, and the real programs read them again as they were."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.core.amounts import Unit
from projections.exports.account_balances import Account, Balance
from projections.exports.account_names import account_name
from projections.exports.beancount import Beancount
from projections.exports.dated_legs import DatedEntry
from projections.exports.hledger import Hledger
from projections.exports.plain_text import Syntax
from tests.integration.plain_text_scene import complaints, require_program
from tests.strategies import EXAMPLES

BEAN_QUERY = Path(sys.executable).with_name("bean-query")
QUESTION = "select meta['position'], meta['request'], meta['command'], meta['route'] from #transactions"
CREDIT = Unit("CREDIT", 6)
AVAILABLE, HELD = "wallet.available", "wallet.held"
HOSTILE = (
    'a"b', "a\\", '\\"', "a\nb", "\n2026-01-01 open Assets:X", "\r", "\t", "a;b", "a,b", "k:v, date:2020-01-01",
    "[2020-01-01]", "date:2020-01-01", "🧾", "团队", "a  b", "  ", " a", "a ", "#tag", "^link", "{1 CNY}", "@ 1 CNY",
    "@@ 1 CNY", "|", "a|b", "*", "!", "(x)", "=", "== 1 CREDIT", "%", "%41", "100%", "'", "`", "\x01", "\x1f", "\x7f",
    "\x85", "\u2028", "\u202e", "\ufeff", "é" * 200, "x" * 2000, "\n" * 70, "\\n", "include evil.journal", "~", "$1",
)  # fmt: skip
words = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
)
"""What a database can hold."""

Told = tuple[int, str | None, str, str]
"""Position, request, command and route."""


def entry_of(told: Told) -> DatedEntry:
    """Return a charge on a route."""
    position, request_id, command_id, route = told
    legs = [(AVAILABLE, f"revenue.{route}", 1)]
    return DatedEntry(
        20_000, "acme", "credit", position, "tokens_settled.v1", request_id, position, 0, command_id, b"\1" * 32, legs
    )  # fmt: skip


def file_of(syntax: Syntax, tellings: Sequence[Told]) -> str:
    """Return a whole file of charges."""
    names = [AVAILABLE, *sorted({f"revenue.{told[3]}" for told in tellings})]
    accounts = [Account(account_name("acme", "credit", name), "acme", "credit", name, CREDIT) for name in names]
    minors = [sum(f"revenue.{told[3]}" == name for told in tellings) for name in names[1:]]
    balances = [Balance(account, -minor) for account, minor in zip(accounts[1:], minors, strict=True)]
    return "".join(
        [
            syntax.beginning("words", "2020-01-01", {"CREDIT": 6}),
            *(syntax.account("2020-01-01", account) for account in accounts),
            "\n",
            *(syntax.transaction("2024-10-04", entry_of(told), CREDIT) for told in tellings),
            syntax.closing("2024-10-05", [Balance(accounts[0], len(tellings)), *balances]),
        ]
    )


def read_by_beancount(file: Path) -> list[Told]:
    """Return what bean-query finds in a file."""
    ran = subprocess.run([str(BEAN_QUERY), "-f", "csv", str(file), QUESTION], capture_output=True, check=True)
    rows = list(csv.reader(StringIO(ran.stdout.decode(), newline="")))[1:]
    return [(int(position), request or None, command, route) for position, request, command, route in rows]


def read_by_hledger(file: Path) -> list[Told]:
    """Return what hledger finds in a file."""
    require_program("hledger")
    ran = subprocess.run(["hledger", "-f", str(file), "print", "-O", "json"], capture_output=True, check=True)
    tags = [dict(transaction["ttags"]) for transaction in json.loads(ran.stdout)]
    return [
        (
            int(own["position"]),
            unquote(own["request"]) if "request" in own else None,
            unquote(own["command"]),
            unquote(own["route"]),
        )
        for own in tags
        if "position" in own
    ]


READERS: dict[str, tuple[type[Beancount | Hledger], Any]] = {
    "beancount": (Beancount, read_by_beancount),
    "hledger": (Hledger, read_by_hledger),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=max(6, EXAMPLES // 10))
@given(st.lists(st.tuples(st.none() | words, words, words), min_size=1, max_size=60))
@example([(word, word, word) for word in HOSTILE])
def test_words_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, kind: str, drawn: list[tuple[str | None, str, str]]
) -> None:
    """Whatever a request, a command or a route is called, the program accepts the file and tells the same names."""
    tellings = [(position, *names) for position, names in enumerate(drawn, 1)]
    syntax, read = READERS[kind]
    folder = tmp_path_factory.mktemp("words")
    assert complaints(kind, file_of(syntax(), tellings), folder) == ""
    assert read(folder / f"journal.{kind}") == tellings
