"""From nothing to ready: one schema by two ways, any number of starters, and databases that are not ours."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ledger.core.refusals import Refused
from ledger.service import Ledger
from ledger.store import connection as store_connection
from ledger.store import install
from ledger.store.install import DatabaseUnusable, bring_forward, prepare_database, read_migrations, run_script
from tests.integration.scenes import drop_database

OURS: LiteralString = "in ('ledger'::regnamespace, 'projections'::regnamespace)"
PARTS: dict[str, LiteralString] = {
    "schemas": "select nspname, pg_get_userbyid(nspowner), nspacl::text from pg_namespace where oid " + OURS,
    "tables": "select oid::regclass::text, relkind, pg_get_userbyid(relowner), relacl::text, reloptions::text,"
    " relpersistence, pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid) from pg_class"
    " where relkind in ('r', 'p', 'v', 'm', 'S') and relnamespace " + OURS,
    "columns": "select attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull,"
    " attcollation::regcollation::text, attacl::text, attidentity, attgenerated, pg_get_expr(adbin, adrelid)"
    " from pg_attribute join pg_class on pg_class.oid = attrelid"
    " left join pg_attrdef on adrelid = attrelid and adnum = attnum"
    " where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm') and relnamespace " + OURS,
    "order": "select attrelid::regclass::text, array_agg(attname::text order by attnum) from pg_attribute"
    " join pg_class on pg_class.oid = attrelid where attnum > 0 and not attisdropped"
    " and relkind in ('r', 'p') and relnamespace " + OURS + " group by attrelid",
    "constraints": "select conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid), convalidated"
    " from pg_constraint where connamespace " + OURS,
    "indexes": "select indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid from pg_index"
    " join pg_class on pg_class.oid = indrelid where relnamespace " + OURS,
    "functions": "select oid::regprocedure::text, pg_get_functiondef(oid), pg_get_userbyid(proowner), proacl::text"
    " from pg_proc where pronamespace " + OURS,
    "triggers": "select tgrelid::regclass::text, pg_get_triggerdef(pg_trigger.oid), tgenabled from pg_trigger"
    " join pg_class on pg_class.oid = tgrelid where not tgisinternal and relnamespace " + OURS,
    "defaults": "select defaclnamespace::regnamespace::text, defaclobjtype, defaclacl::text from pg_default_acl",
    "rows": "select 'generation', projection, generation, status from projections.generation",
    "migrations": "select migration, name from ledger.migration",
}


def dump(url: str) -> dict[str, set[str]]:
    """Return everything that a database's two schemas consist of, part by part."""
    with psycopg.connect(url) as connection:
        return {part: {repr(row) for row in connection.execute(query)} for part, query in PARTS.items()}


def differences(left: str, right: str) -> dict[str, set[str]]:
    """Return by part what is in one of two databases only."""
    ours, theirs = dump(left), dump(right)
    return {part: ours[part] ^ theirs[part] for part in PARTS if ours[part] != theirs[part]}


def build_by_schema(url: str) -> None:
    """Make a database as a new one is made."""
    with psycopg.connect(url) as connection:
        bring_forward(connection)


def build_by_migrations(url: str) -> None:
    """Make a database from the migrations alone, one after the other, as an old one has come about."""
    with psycopg.connect(url) as connection:
        for number, (name, script) in read_migrations().items():
            run_script(connection, script)
            connection.execute(install.QUERIES["note_migration"], {"migration": number, "name": name})


@pytest.fixture
def make_database(server_url: str) -> Iterator[Callable[[], str]]:
    """A function that makes an empty database; all are dropped afterwards."""
    names = []

    def make() -> str:
        names.append(f"empty_{uuid4().hex[:12]}")
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'create database "{names[-1]}"'.encode())
        return make_conninfo(server_url, dbname=names[-1])

    yield make
    for name in names:
        drop_database(server_url, name)


def test_both_ways_end_in_the_same_database(make_database: Callable[[], str]) -> None:
    """A database built from the migrations alone equals a new one, down to grants, triggers and storage options."""
    if not read_migrations():
        pytest.skip("there is no migration yet")
    new, old = make_database(), make_database()
    build_by_schema(new)
    build_by_migrations(old)
    assert differences(new, old) == {}
    build_by_schema(old)
    assert differences(new, old) == {}


@pytest.mark.parametrize(
    "change",
    [
        "alter table ledger.wallet alter frozen set default false",
        "alter table ledger.event drop constraint event_command_id_key",
        "alter table ledger.event disable trigger event_is_gapless",
        "grant update on ledger.event to route_ledger_writer",
        "grant update (bucket) on ledger.wallet to route_ledger_writer",
        "alter table ledger.book set (fillfactor = 90)",
        "drop index ledger.hold_expiry",
        "alter table ledger.budget alter charged_minor drop not null",
        "create or replace function ledger.refuse_change() returns trigger language plpgsql as"
        " $$ begin return null; end $$",
        "delete from projections.generation",
    ],
)
def test_the_comparison_sees(make_database: Callable[[], str], change: LiteralString) -> None:
    """A default, key, trigger, grant, option, index, column, function or row that differs is found."""
    new, other = make_database(), make_database()
    for url in (new, other):
        build_by_schema(url)
    assert differences(new, other) == {}
    with psycopg.connect(other) as connection:
        connection.execute(change)
    assert differences(new, other) != {}


def test_starters_wait_for_each_other(make_database: Callable[[], str]) -> None:
    """Eight processes that start at once on an empty database make one schema, one hash key and one book."""
    url = make_database()
    with ThreadPoolExecutor(8) as pool:
        ledgers = list(pool.map(lambda _: Ledger(url, sweep_seconds=600), range(8)))
    hashes = {ledger.hash_end_user("acme", "somebody") for ledger in ledgers}
    for ledger in ledgers:
        ledger.close()
    with psycopg.connect(url) as connection:
        events = connection.execute("select count(*) from ledger.event").fetchone()
    assert (len(hashes), events) == (1, (1,))


def test_two_new_databases_of_one_server_start_at_once(make_database: Callable[[], str]) -> None:
    """Databases of one server share their roles; several made at the same moment do not trip over them."""
    urls = [make_database() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(prepare_database, urls))
    assert [differences(urls[0], url) for url in urls[1:]] == [{}] * 5


def test_a_newer_database_is_refused(make_database: Callable[[], str]) -> None:
    """A database with a migration that this version does not know is left alone."""
    url = make_database()
    prepare_database(url)
    with psycopg.connect(url) as connection:
        connection.execute("insert into ledger.migration (migration, name) values (9999, 'of_tomorrow')")
    with pytest.raises(DatabaseUnusable, match="9999"):
        prepare_database(url)


def test_a_failed_installation_leaves_nothing(
    make_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation that fails after its schema is rolled back whole, and the next start makes it."""
    url = make_database()

    def fail(*_: object) -> None:
        raise DatabaseUnusable("half way")

    monkeypatch.setattr(install, "require_purpose", fail)
    with pytest.raises(DatabaseUnusable, match="half way"):
        prepare_database(url)
    monkeypatch.undo()
    with psycopg.connect(url) as connection:
        assert connection.execute("select to_regnamespace('ledger')").fetchone() == (None,)
    prepare_database(url)


def test_roles_made_by_an_administrator_will_do(server_url: str, make_database: Callable[[], str]) -> None:
    """An owner who may not create roles can install where both roles exist and were granted to it."""
    prepare_database(make_database())
    url = make_database()
    owner = f"owner_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"create role {owner} login password 'x'".encode())
        connection.execute(f"grant route_ledger_writer, route_ledger_projector to {owner}".encode())
        database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        connection.execute(f'grant create on database "{database}" to {owner}'.encode())
    try:
        with Ledger(make_conninfo(url, user=owner, password="x"), sweep_seconds=600) as ledger:
            assert ledger.queue_depth == 0
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"grant {owner} to current_user".encode())
            connection.execute(f"drop owned by {owner} cascade".encode())
            connection.execute(f"drop role {owner}".encode())


@pytest.mark.parametrize("setting", store_connection.DURABILITY_SETTINGS)
def test_a_database_that_may_lose_commits_is_refused(
    make_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """A server does not start where fsync or full_page_writes is off."""
    url = make_database()
    prepare_database(url)

    class Answer:
        def fetchone(self) -> tuple[str]:
            return ("off",)

    class Connection:
        def execute(self, _: str, parameters: tuple[str]) -> Answer:
            answer = Answer()
            if parameters != (setting,):
                answer.fetchone = lambda: ("on",)  # type: ignore[method-assign]
            return answer

    with pytest.raises(Refused, match=setting):
        store_connection.require_durable(Connection())  # type: ignore[arg-type]
