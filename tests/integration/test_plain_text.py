"""The journal in plain text: the real programs accept it, and it says what the journal says, for every scope."""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ledger.core.accounts import WALLET_HELD
from ledger.core.commands import to_datetime, to_microseconds
from ledger.service import Ledger
from ledger.wallet.commands import GrantFunds, OpenWallet
from ledger.workspace.commands import CreateWorkspace
from projections.days import Calendar
from projections.exports.account_names import read_account
from projections.exports.scope import Scope
from projections.exports.writing import open_snapshot
from tests.integration.plain_text_reading import POSTING, closings_of, legs_of, openings_of, transactions_of
from tests.integration.plain_text_scene import FORMATS, ZONES, complaints, export, open_books, write
from tests.integration.read_side import ask, follow
from tests.integration.scenes import catalog_commands, cny, record

APRIL = to_microseconds(datetime(2025, 4, 1, tzinfo=ZoneInfo("Asia/Shanghai")))
LATER_IN_APRIL = to_microseconds(datetime(2025, 4, 2, tzinfo=UTC))
EPOCH = date(1970, 1, 1).toordinal()
LEGS = """
    select leg.workspace_id, leg.bucket, leg.position, leg.leg::int, leg.debit_account, leg.credit_account, leg.minor,
        entry.effective_at
    from projections.leg join projections.entry using (workspace_id, generation, bucket, position)
    order by 1, 3, 2, 4"""
Leg = tuple[str, str, int, int, str, str, int, int]


SCOPES: dict[str, tuple[str | None, str | int | None, str | int | None, str | None]] = {
    "everything": (None, None, None, None),
    "one workspace": ("acme", None, None, None),
    "in a zone": (None, None, None, "America/New_York"),
    "one workspace in a zone": ("zeta", None, None, "Pacific/Kiritimati"),
    "since April": (None, APRIL, None, None),
    "since later in April": (None, LATER_IN_APRIL, None, None),
    "until then": (None, None, LATER_IN_APRIL, None),
    "a part": (None, "middle", "later", None),
    "a part of one": ("acme", "middle", "later", "UTC"),
    "before everything": (None, 0, 1, None),
    "after everything": (None, "after", None, None),
}
"""Workspace, begin, end and zone. Words are instants in the midst of the story."""


class Exported(msgspec.Struct, frozen=True):
    """One export, and the legs that the journal has: all of those books, and those of the period."""

    kind: str
    scope: Scope
    text: str
    before: list[Leg]
    within: list[Leg]

    def day_of(self, leg: Leg) -> str:
        """Return the day of a leg in the zone of the scope, or else of its book."""
        zone = ZoneInfo(self.scope.zone or ZONES[leg[0]])
        return to_datetime(leg[7]).astimezone(zone).date().isoformat()


@pytest.fixture(scope="module")
def books(module_ledger: Ledger) -> Ledger:
    """Books with a story in two workspaces."""
    open_books(module_ledger)
    return module_ledger


@pytest.fixture(scope="module", params=[f"{kind}, {name}" for kind in FORMATS for name in SCOPES])
def exported(request: pytest.FixtureRequest, books: Ledger) -> Exported:
    """Each scope in each format."""
    kind, _, name = request.param.partition(", ")
    instants = [row[0] for row in ask(books.url, "select effective_at from projections.entry order by 1")]
    places = {"middle": instants[len(instants) // 2], "later": instants[-20], "after": instants[-1] + 1}
    workspace_id, begin, end, zone = SCOPES[name]
    since, until = (places[bound] if isinstance(bound, str) else bound for bound in (begin, end))
    legs: list[Leg] = [row for row in ask(books.url, LEGS) if workspace_id in {None, row[0]}]
    return Exported(
        kind,
        scope := Scope(workspace_id, since, until, zone),
        export(books.url, kind, scope),
        [leg for leg in legs if since is not None and leg[7] < since],
        [leg for leg in legs if (since is None or leg[7] >= since) and (until is None or leg[7] < until)],
    )


def turnovers(legs: Iterable[Leg]) -> dict[tuple[str, str, str], int]:
    """Return debit less credit of every account that legs move."""
    balances: Counter[tuple[str, str, str]] = Counter()
    for workspace_id, bucket, _, _, debit, credit, minor, _ in legs:
        balances[workspace_id, bucket, debit] += minor
        balances[workspace_id, bucket, credit] -= minor
    return dict(balances)


def test_the_real_program_accepts_it(exported: Exported, tmp_path: Path) -> None:
    """bean-check and hledger's strict checks find nothing wrong with any scope."""
    assert complaints(exported.kind, exported.text, tmp_path) == ""


def test_every_leg_of_the_period_is_there(exported: Exported) -> None:
    """The postings are the legs of the period, each in its place, and nothing else."""
    assert sorted(legs_of(exported.text)) == sorted(leg[:7] for leg in exported.within)


def test_transactions_are_in_the_order_of_their_days(exported: Exported) -> None:
    """They are ordered by day, workspace, position and bucket; a day is that of the zone."""
    written = [
        (each.day, *read_account(each.postings[0].account)[:2], each.position)
        for each in transactions_of(exported.text)
        if each.position is not None
    ]
    days = {(exported.day_of(leg), *leg[:3]) for leg in exported.within}
    assert written == sorted(days, key=lambda key: (key[0], key[1], key[3], key[2]))


def test_opening_balances_are_what_was_before(exported: Exported) -> None:
    """Accounts are brought in with what legs before the period came to, those at zero not at all."""
    before = {account: minor for account, minor in turnovers(exported.before).items() if minor}
    assert openings_of(exported.text) == before


def test_closing_balances_are_of_every_account(exported: Exported) -> None:
    """Every account that moved by the end of the period is closed, with what its legs came to."""
    closed = turnovers([*exported.before, *exported.within])
    assert closings_of(exported.text) == closed


def test_flags_tell_what_is_reserved(exported: Exported) -> None:
    """What adds to a hold is flagged, everything else is not."""
    reserving = {leg[:3] for leg in exported.within if leg[5] == WALLET_HELD}
    for transaction in transactions_of(exported.text):
        workspace_id, bucket, _ = (
            read_account(transaction.postings[0].account) if transaction.position else ("", "", "")
        )
        is_reserving = (workspace_id, bucket, transaction.position) in reserving
        assert (transaction.flag == "!") == is_reserving


def test_no_price_is_ever_written(exported: Exported) -> None:
    """Every posting is an account, an amount at full scale and a unit: an `@` or a cost would blend two units."""
    scales = {"CREDIT": 6, "CNY": 6, "POINT": 0}
    lines = [line for line in exported.text.split("\n") if re.match(r"  [A-Z]", line)]
    plain = [POSTING.fullmatch(line.partition(" == ")[0]) for line in lines]
    assert None not in plain
    assert {len(found[2].partition(".")[2]) - scales[found[3]] for found in plain if found} <= {0}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_head_says_where_the_chains_stood(books: Ledger, kind: str, tmp_path: Path) -> None:
    """Comments name the scope, each book's position and digest, when it was made, and a checkpoint's whole note."""
    note = "route-ledger/ab\n3\nroot+root=\nevents 100\n\n— ledger c2ln\n"
    with open_snapshot(books.url, Scope(), None) as snapshot:
        text = write(snapshot, kind, note)
    head = text.split("\n\n")[0].split("\n")
    heads = ask(books.url, "select workspace_id, position, encode(digest, 'hex') from ledger.book order by 1")
    assert [line for line in head if line.startswith("; book: ")] == [
        f"; book: {name}, to position {position}, digest {digest}, days of {ZONES.get(name, 'UTC')}"
        for name, position, digest in heads
    ]
    assert head[0] == "; Route Ledger: all workspaces, exported 2026-11-22T05:00:00.000000Z"
    assert [line.removeprefix("; checkpoint:").strip() for line in head[-6:]] == note.rstrip("\n").split("\n")
    assert complaints(kind, text, tmp_path) == ""


CLOCKS: dict[str, tuple[str, ...]] = {
    "America/St_Johns": (
        "2010-11-07T02:29:59Z",
        "2010-11-07T02:30:00Z",
        "2010-11-07T02:31:00Z",
        "2010-11-07T03:30:00Z",
    ),
    "Pacific/Apia": ("2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z", "2011-12-31T09:59:59Z", "2011-12-31T10:00:00Z"),
    "America/Havana": ("2025-11-02T03:59:59Z", "2025-11-02T04:00:00Z", "2025-11-02T05:30:00Z", "2025-11-03T05:00:00Z"),
}
"""Instants when clocks were put back over midnight, skipped a day, and were put back to midnight."""


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("asked", [None, "Pacific/Apia"])
def test_days_are_those_of_odd_clocks(ledger: Ledger, kind: str, asked: str | None, tmp_path: Path) -> None:
    """Every instant has the day that the calendar gives it in each book's zone, or in the one that is asked for."""
    record(ledger, catalog_commands())
    expected = []
    for number, (zone, instants) in enumerate(CLOCKS.items()):
        record(ledger, [CreateWorkspace(workspace_id=f"w{number}", time_zone=zone)])
        record(ledger, [OpenWallet(workspace_id=f"w{number}", bucket="rmb")])
        for place, instant in enumerate(map(datetime.fromisoformat, instants)):
            grant = GrantFunds(
                workspace_id=f"w{number}", bucket="rmb", grant_id=str(place), amount=cny("1"), effective_at=instant
            )
            record(ledger, [grant])
            day = Calendar(asked or zone).day_of(to_microseconds(instant))
            expected.append((date.fromordinal(EPOCH + day).isoformat(), f"w{number}", 3 + place))
    follow(ledger.url)
    text = export(ledger.url, kind, Scope(zone=asked))
    written = [(each.day, read_account(each.postings[0].account)[0], each.position) for each in transactions_of(text)]
    assert written == sorted(expected)
    assert complaints(kind, text, tmp_path) == ""
