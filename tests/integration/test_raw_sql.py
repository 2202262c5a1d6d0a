"""What the database refuses by itself, whatever the program may believe: raw SQL in the roles of the server."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow

from ledger.service import Ledger
from tests.integration import scenes
from tests.integration.scenes import ACME, do, hold, settle
from tests.integration.store_check import complaints

EVENT = (
    "insert into ledger.event (workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest)"
    " values {}"
)
ROW = (
    "('acme', {position}, '{stream}', {version}, 'request_voided.v1', '{command}', 1, '{{}}',"
    " decode(repeat('00', 32), 'hex'))"
)


@pytest.fixture(scope="module")
def story(server_url: str, template_database: str) -> Iterator[str]:
    """A database with a few events, an open hold and a budget; every test rolls back what it tried."""
    name = f"raw_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template_database}"'.encode())
    url = psycopg.conninfo.make_conninfo(server_url, dbname=name)
    with Ledger(url, sweep_seconds=600) as ledger:
        scenes.set_up(ledger, day="100")
        do(ledger, hold("r1"), settle("r1"), hold("r2"), hold("r3", route="cheap"))
    yield url
    assert complaints(url) == []
    scenes.drop_database(server_url, name)


@pytest.fixture
def writer(story: str) -> Iterator[Connection[TupleRow]]:
    """A connection as the role that writes; nothing that it does is kept."""
    yield from as_role(story, "route_ledger_writer")


@pytest.fixture
def projector(story: str) -> Iterator[Connection[TupleRow]]:
    """A connection as the role that projects; nothing that it does is kept."""
    yield from as_role(story, "route_ledger_projector")


def as_role(url: str, role: str) -> Iterator[Connection[TupleRow]]:
    """Yield a connection in a role, in a transaction that is rolled back."""
    with psycopg.connect(url) as connection:
        connection.execute(f"set role {role}".encode())
        yield connection
        connection.rollback()


def last(connection: Connection[TupleRow]) -> int:
    """Return the position of the book's last event."""
    row = connection.execute("select max(position) from ledger.event where workspace_id = 'acme'").fetchone()
    assert row is not None
    return int(row[0])


def event(position: int, stream: str = "request/new", version: int = 1, command: str = "new/route") -> str:
    """Return the values of an event."""
    return ROW.format(position=position, stream=stream, version=version, command=command)


FORBIDDEN = {
    "change an event": "update ledger.event set state = '{}' where workspace_id = 'acme' and position = 1",
    "remove an event": "delete from ledger.event where workspace_id = 'acme' and position = 1",
    "remove all events": "truncate ledger.event",
    "overwrite an event": EVENT.format(event(1)) + " on conflict (workspace_id, position) do update set state = '{}'",
    "merge into events": "merge into ledger.event using (values (1)) as one (position) on event.position = one.position"
    " when matched then delete",
    "drop the guard": "drop trigger event_is_append_only on ledger.event",
    "disable the guard": "alter table ledger.event disable trigger all",
    "replace the guard": "create or replace function ledger.refuse_change() returns trigger language plpgsql as"
    " $$ begin return null; end $$",
    "look away from the guard": "set session_replication_role = replica",
    "drop events": "drop table ledger.event",
    "add a rule": "create rule quiet as on insert to ledger.event do instead nothing",
    "a table of its own": "create table ledger.mine (one integer)",
    "change a wallet's unit": "update ledger.wallet set unit = 'CNY' where workspace_id = 'acme'",
    "change a wallet's bucket": "update ledger.wallet set bucket = 'rmb2' where workspace_id = 'acme'",
    "change a wallet's scale": "update ledger.wallet set scale = 2 where workspace_id = 'acme'",
    "move a wallet": "update ledger.wallet set workspace_id = 'other' where workspace_id = 'acme'",
    "remove a wallet": "delete from ledger.wallet where workspace_id = 'acme'",
    "change a hold's bucket": "update ledger.hold set bucket = 'rmb' where workspace_id = 'acme'",
    "change a hold's budgets": "update ledger.hold set budgets = '{}' where workspace_id = 'acme'",
    "remove a budget": "delete from ledger.budget where workspace_id = 'acme'",
    "remove a book": "delete from ledger.book where workspace_id = 'acme'",
    "rename a book": "update ledger.book set workspace_id = 'other' where workspace_id = 'acme'",
    "change the hash key": "update ledger.installation set hash_key = decode(repeat('00', 32), 'hex')",
    "forget a migration": "insert into ledger.migration (migration, name) values (999, 'none')",
    "write into the read side": "insert into projections.generation (projection, generation, status)"
    " values ('x', 1, 'filling')",
    "move a follower": "update projections.progress set position = 0",
    "a table in the read side": "create table projections.mine (one integer)",
}


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN)
def test_the_writer_has_no_right_to(writer: Connection[TupleRow], statement: str) -> None:
    """The writer may append events and move its own rows, and is refused everything else."""
    with pytest.raises(errors.InsufficientPrivilege):
        writer.execute(statement.encode())


IMPOSSIBLE: dict[str, tuple[str, type[psycopg.Error]]] = {
    "skip a position": (event(10**6), errors.IntegrityConstraintViolation),
    "start at zero": (event(0), errors.CheckViolation),
    "reuse a position": (event(1), errors.UniqueViolation),
    "reuse a version": (event(-1, "workspace", 1), errors.UniqueViolation),
    "reuse an identity": (event(-1, command="r1/route"), errors.UniqueViolation),
    "leave a hole": (event(-1) + ", " + event(-3, "request/b", 1, "b/route"), errors.IntegrityConstraintViolation),
    "no identity": (event(-1, command=""), errors.CheckViolation),
    "version zero": (event(-1, version=0), errors.CheckViolation),
}


@pytest.mark.parametrize(("values", "refusal"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_the_book_cannot(writer: Connection[TupleRow], values: str, refusal: type[psycopg.Error]) -> None:
    """An event that does not continue its book, its stream and its identities is refused by the database."""
    for step in (1, 3):
        values = values.replace(f"'acme', -{step},", f"'acme', {last(writer) + step},")
    with pytest.raises(refusal):
        writer.execute(EVENT.format(values).encode())


def test_the_writer_may_append(writer: Connection[TupleRow]) -> None:
    """Several events that continue a book are taken, in any order of their rows: what is refused above is the gap."""
    end = last(writer)
    values = ", ".join(event(end + n, f"request/n{n}", 1, f"n{n}/route") for n in (3, 1, 2))
    assert writer.execute(EVENT.format(values).encode()).rowcount == 3


def test_two_writers_without_the_lock_leave_no_gap(story: str) -> None:
    """A transaction that goes on from events of another, uncommitted one is refused; no lock is needed for that."""
    with psycopg.connect(story) as first, psycopg.connect(story) as second:
        end = last(first)
        first.execute(EVENT.format(event(end + 1)).encode())
        with pytest.raises(errors.IntegrityConstraintViolation):
            second.execute(EVENT.format(event(end + 2, "request/b", 1, "b/route")).encode())
        first.rollback()


@pytest.mark.parametrize(
    "statement", ["update ledger.event set tag = 'x'", "delete from ledger.event", "truncate ledger.event"]
)
def test_the_owner_is_refused_too(story: str, statement: str) -> None:
    """Events are append-only for the owner of the tables as well: the trigger says so where no grant does."""
    with psycopg.connect(story) as connection, pytest.raises(errors.RestrictViolation):
        connection.execute(statement.encode())


PROJECTOR = {
    "append an event": EVENT.format(event(10**6)),
    "change an event": "update ledger.event set state = '{}'",
    "move money": "update ledger.wallet set posted_minor = 0",
    "remove holds": "delete from ledger.hold",
    "move a budget": "update ledger.budget set held_minor = 0",
    "move a book": "update ledger.book set position = 0",
    "read the hash key": "select hash_key from ledger.installation",
    "read anything of the installation": "select * from ledger.installation",
    "a table in the write side": "create table ledger.mine (one integer)",
    "become the writer": "create role other",
}


@pytest.mark.parametrize("statement", PROJECTOR.values(), ids=PROJECTOR)
def test_the_projector_has_no_right_to(projector: Connection[TupleRow], statement: str) -> None:
    """The projector reads the books, changes nothing in them, and never sees the key of the hashes."""
    with pytest.raises(errors.InsufficientPrivilege):
        projector.execute(statement.encode())


WALLETS = "insert into projections.wallet values ('acme', 1, '{0}', '{1}', 6, 0)"
ACCOUNTS = (
    "insert into projections.account values ('acme', 1, '{0}', 'wallet.available', 0, 0),"
    " ('acme', 1, '{0}', 'wallet.held', 0, 0), ('acme', 1, '{0}', 'only.{0}', 0, 0)"
)
LEG = "insert into projections.leg select 'acme', 1, '{}', 1 + count(*), 1, '{}', '{}', {} from projections.leg"


@pytest.fixture
def accounts(projector: Connection[TupleRow]) -> Connection[TupleRow]:
    """The projector's connection, with accounts of two buckets."""
    for bucket, unit in scenes.UNITS.items():
        projector.execute(WALLETS.format(bucket, unit).encode())
        projector.execute(ACCOUNTS.format(bucket).encode())
    return projector


def test_a_leg_stays_in_its_bucket(accounts: Connection[TupleRow]) -> None:
    """A leg between two accounts of its bucket is taken; the same between accounts of two buckets is not."""
    accounts.execute(LEG.format("credit", "wallet.available", "only.credit", 1).encode())
    for bucket, debit, credited in (
        ("rmb", "wallet.available", "only.credit"),
        ("rmb", "only.credit", "wallet.available"),
        ("credit", "only.rmb", "wallet.held"),
        ("points", "wallet.available", "wallet.held"),
    ):
        with pytest.raises(errors.ForeignKeyViolation), accounts.transaction():
            accounts.execute(LEG.format(bucket, debit, credited, 1).encode())


@pytest.mark.parametrize("minor", [0, -1])
def test_a_leg_is_positive(accounts: Connection[TupleRow], minor: int) -> None:
    """A leg of nothing or of less than nothing is refused."""
    with pytest.raises(errors.CheckViolation):
        accounts.execute(LEG.format("credit", "wallet.available", "only.credit", minor).encode())


def test_a_leg_has_two_accounts(accounts: Connection[TupleRow]) -> None:
    """A leg from an account to itself is refused."""
    with pytest.raises(errors.CheckViolation):
        accounts.execute(LEG.format("credit", "wallet.held", "wallet.held", 1).encode())


def test_a_leg_keeps_its_bucket(accounts: Connection[TupleRow]) -> None:
    """A leg or an account that is moved to another bucket afterwards is refused as well."""
    accounts.execute(LEG.format("credit", "wallet.available", "only.credit", 1).encode())
    for statement in (
        "update projections.leg set bucket = 'rmb' where workspace_id = 'acme' and position = 1",
        "update projections.account set bucket = 'rmb' where account = 'only.credit'",
        "delete from projections.account where account = 'only.credit'",
    ):
        with pytest.raises(errors.ForeignKeyViolation), accounts.transaction():
            accounts.execute(statement.encode())


def test_holds_and_budgets_are_never_negative(writer: Connection[TupleRow]) -> None:
    """A wallet, a hold or a budget that would hold less than nothing is refused."""
    for table in ("wallet", "hold", "budget"):
        with pytest.raises(errors.CheckViolation), writer.transaction():
            writer.execute(f"update ledger.{table} set held_minor = -1 where workspace_id = '{ACME}'".encode())
