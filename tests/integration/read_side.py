"""What the tests of the read side share: a workspace that has seen everything, and a follower driven by hand."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import psycopg

from ledger.core.commands import Command
from ledger.request import commands as request
from ledger.service import Ledger
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace
from projections.connections import connect_projector
from projections.followers import find_news, follow_group, groups_of, read_generation
from projections.following import Projection
from projections.journal_rows import Journal
from tests.integration.scenes import (
    ACME,
    cny,
    credit,
    extend,
    fail_attempt,
    fall_back,
    hold,
    record,
    refund,
    release,
    settle,
)

PARTS = ("wallet", "account", "movement", "entry", "leg")


def story(name: str = ACME) -> list[Command]:
    """Return commands that make every event that moves money, in an opened workspace whose key allows all of it.

    An open hold, a late settlement, an overrun and a void are left behind.
    """
    at: dict[str, Any] = {"workspace_id": name}
    in_credit: dict[str, Any] = {**at, "bucket": "credit"}
    in_rmb: dict[str, Any] = {**at, "bucket": "rmb"}
    return [
        wallet.GrantFunds(**in_credit, grant_id="g1", amount=credit("5")),
        wallet.ReverseFunds(**in_rmb, amount=cny("10"), source="alipay", reference="rmb-1", reason="chargeback"),
        wallet.WithdrawFunds(**in_rmb, amount=cny("3"), source="alipay", reference="out-1"),
        wallet.PostAdjustment(**in_credit, adjustment_id="a1", amount=credit("-1.5"), reason="taken back"),
        wallet.PostAdjustment(**in_credit, adjustment_id="a2", amount=credit("0.5"), reason="goodwill"),
        wallet.SetCreditLimit(**in_credit, change_id="c1", credit_limit=credit("20"), reason="trusted"),
        wallet.ExchangeBuckets(
            **in_rmb, exchange_id="x1", amount=cny("14"), to_bucket="credit", to_amount=credit("2"),
            rate="0.142857142857",
        ),
        hold("r-settled", **at), settle("r-settled", **at),
        hold("r-open", "2.5", **at), extend("r-open", "1", **at), fail_attempt("r-open", **at),
        hold("r-moved", **at), fall_back("r-moved", "7", to_route="cheap", **at),
        hold("r-spared", "2", **at), fall_back("r-spared", "3", to_route="spare", **at),
        hold("r-late", **at), release("r-late", **at), settle("r-late", **at),
        hold("r-over", "0.000001", **at), settle("r-over", 10**9, **at),
        release("r-void", **at),
        refund("r-settled", "0.001", **at),
        request.CorrectCharge(
            **at, request_id="r-settled", correction_id="1", cause="mistake", difference=credit("0.002"),
            reason="miscounted",
        ),
        request.CorrectCharge(
            **at, request_id="r-settled", correction_id="2", cause="mistake", difference=credit("-0.004"),
            reason="miscounted again",
        ),
        wallet.FreezeWallet(**in_rmb, change_id="f1", reason="under review"),
        workspace.RevokeApiKey(**at, api_key_id="k1", reason="leaked"),
    ]  # fmt: skip


def tell(ledger: Ledger, name: str = ACME) -> None:
    """Record the story, each command in a batch of its own."""
    for command in story(name):
        record(ledger, [command])


def follow(url: str, events_max: int = 4000, projection: Projection | None = None) -> int:
    """Follow all books to their ends with a projection, the journal unless told; return how many events it applied."""
    applied = 0
    projection = projection or Journal()
    with closing(connect_projector(url, "test")) as connection:
        generation = read_generation(connection, projection.name)
        while news := find_news(connection, projection, generation):
            advanced = sum(
                follow_group(connection, projection, generation, group, events_max)
                for group in groups_of(news, events_max)
            )
            if not advanced:
                break
            applied += advanced
    return applied


def rows_of(url: str, part: str, without: Iterable[str] = ("generation",)) -> list[tuple[Any, ...]]:
    """Return the rows of one of the read side's tables, whatever generation they are of, in order."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"select * from projections.{part}".encode())
        assert cursor.description is not None
        places = [place for place, column in enumerate(cursor.description) if column.name not in without]
        return sorted(tuple(row[place] for place in places) for row in cursor.fetchall())


def journal_of(url: str) -> Mapping[str, list[tuple[Any, ...]]]:
    """Return all rows of the journal, part by part."""
    return {part: rows_of(url, part) for part in PARTS}


def ask(url: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query, asked by the owner; none for a statement that returns nothing."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []
