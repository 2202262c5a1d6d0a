"""The schema and its statements can be spread over many machines by workspace, and run on any PostgreSQL.

The rules are asked of a real database and of the named SQL files; each exception stands in a list with its
reason, and a reason that is not needed any more fails too.
"""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.store.connection import SESSION_SETTINGS
from ledger.store.queries import load_queries
from tests.source_tree import ROOT, package_modules

ONE_PER_DATABASE = {
    "ledger.migration": "what this database is, not what it holds",
    "ledger.installation": "one row for the whole installation",
    "ledger.route_health": "a few rows that say the same for every workspace",
    "ledger.provider_health": "a few rows that say the same for every workspace",
    "ledger.checkpoint": "a few rows a day over the heads of all books",
    "projections.generation": "a few rows that say the same for every workspace",
}
OVER_ALL_WORKSPACES = {
    "balances.sql/read_turnovers": "of all books, the days that are whole in each of them",
    "audit.sql/read_workspaces_of_events": "events without a book; from one workspace to the next by key",
    "audit.sql/read_period_events": "the platform's month is the sum of every book's; each is asked by its key",
    "actions.sql/read_actions_of_all": "the platform's view of who did what; each book is asked by its key",
    "rerating.sql/find_next_rerated_book": "the next book by name; what was settled in it is asked by its key",
    "batch.sql/find_expired": "the sweeper's question; each answer is decided again under its book's lock",
    "batch.sql/read_closings": "the platform's month is closed when every book's is; each is asked by its key",
    "batch.sql/forget_pins": "the sweeper's; each row is old by itself",
    "checkpoints.sql/read_moves": "a checkpoint is over all books in one snapshot; each is looked up by its key",
    "checkpoints.sql/read_heads": "the leaves of a checkpoint are all books; each is looked up by its key",
    "service.sql/read_all_refused_calls": "the platform's view of what was refused",
    "followers.sql/find_news": "which books have news; each is claimed by its own key",
    "followers.sql/retry_failed": "once at the start of a process",
    "reading.sql/read_trial_balance": "the trial balance of the platform",
    "reading.sql/find_books_of_stream": "whose request it is, for the command line; each book is asked by its key",
    "reading.sql/read_lag": "how far all projections are behind",
    "reading.sql/read_failures": "which books are stopped",
    "rebuild.sql/read_books": "a rebuild is of all books",
    "rebuild.sql/end_progress": "a swap ends the old generation of all books",
    "rebuild.sql/read_progress": "a swap compares all books",
    "rebuild.sql/forget_progress": "a generation is dropped for all books",
    "requests.sql/read_requests_of_all": "the platform's view of the route ledger",
    "replay.sql/read_sizes": "a replay of everything lists the books first",
}
ADVISORY_LOCKS = {
    "install.sql/one_at_a_time": "once per start, while the schema is brought forward",
    "rebuild.sql/take_turn": "a courtesy; generations have numbers, so nothing depends on it",
    "rebuild.sql/give_turn_back": "the end of that courtesy",
}
ROLES = {
    "install.sql": None,
    "batch.sql": "route_ledger_writer",
    "recorder.sql": "route_ledger_writer",
    "service.sql": "route_ledger_writer",
    "checkpoints.sql": "route_ledger_writer",
}
"""Whose statements a file holds: None is the owner; every other file is the projector's."""

UTILITY = re.compile(r"(begin|commit|rollback|set|copy|analyze)\b")
PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[sbt]")
REFERENCE = re.compile(
    r"\b(?:from|join|update|using|into)\s+((?:ledger|projections)\.\w+)"
    r"(?:\s+(?:as\s+)?(?!(?:on|where|set|cross|join|left|order|group|for|limit|using|values|select)\b)(\w+))?"
)
EQUAL = re.compile(r"\b(\w+)\.workspace_id\s*=\s*(?:(\w+)\.workspace_id\b)?")
GLOBAL_MEANS = re.compile(r"\block\s+table\b|\b(?:pg_)?notify\b|\blisten\s+\w|\bnextval\b|\bserial\b|\bidentity\b")


def statements() -> Iterator[tuple[str, str, LiteralString]]:
    """Yield (package, file/name, text) of every named statement."""
    for path in sorted(ROOT.glob("*/**/sql/*.sql")):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        for name, text in load_queries(package, path.name).items():
            yield package, f"{path.name}/{name}", text


STATEMENTS = {name: text for _, name, text in statements()}


@pytest.fixture(scope="module")
def schema(server_url: str, template_database: str) -> Iterator[Connection[TupleRow]]:
    """A connection of the owner to a database with the schema."""
    url = psycopg.conninfo.make_conninfo(server_url, dbname=template_database)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def rows(connection: Connection[TupleRow], query: LiteralString) -> list[TupleRow]:
    """Return the rows of a query."""
    return connection.execute(query).fetchall()


def workspace_tables(connection: Connection[TupleRow]) -> set[str]:
    """Return the tables that have a workspace."""
    query: LiteralString = """
        select table_schema || '.' || table_name from information_schema.columns
        where table_schema in ('ledger', 'projections') and column_name = 'workspace_id'"""
    return {row[0] for row in rows(connection, query)}


def numbered(text: str) -> str:
    """Return a statement with PostgreSQL's own placeholders, and a real table where one is filled in."""
    order: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        name = match.group(1) or str(match.start())
        return f"${order.setdefault(name, len(order) + 1)}"

    return PLACEHOLDER.sub(number, text).replace("{table}", "projections.entry_1")


def test_the_workspace_leads_every_key(schema: Connection[TupleRow]) -> None:
    """Primary keys, unique keys and foreign keys (on both sides) begin with the workspace."""
    keys = """
        select conrelid::regclass::text, conname, attname from pg_constraint
        join pg_attribute on attrelid = conrelid and attnum = conkey[1]
        where contype in ('p', 'u', 'f', 'x') and connamespace in ('ledger'::regnamespace, 'projections'::regnamespace)
        union all
        select confrelid::regclass::text, conname, attname from pg_constraint
        join pg_attribute on attrelid = confrelid and attnum = confkey[1]
        where contype = 'f' and connamespace in ('ledger'::regnamespace, 'projections'::regnamespace)
        union all
        select indrelid::regclass::text, indexrelid::regclass::text, coalesce(attname, 'an expression') from pg_index
        join pg_class on pg_class.oid = indrelid
        left join pg_attribute on attrelid = indrelid and attnum = indkey[0]
        where indisunique and relnamespace in ('ledger'::regnamespace, 'projections'::regnamespace)"""
    found = rows(schema, keys)
    wrong = {(table, name) for table, name, column in found if column != "workspace_id"}
    assert {table for table, _ in wrong} == set(ONE_PER_DATABASE)
    assert len({name for table, name, _ in found if table not in ONE_PER_DATABASE}) >= 15


def test_every_table_has_a_key_and_a_workspace(schema: Connection[TupleRow]) -> None:
    """Every table has a primary key, and a workspace unless it is listed as one for the whole database."""
    query: LiteralString = """
        select oid::regclass::text, exists (select from pg_index where indrelid = pg_class.oid and indisprimary)
        from pg_class
        where relkind in ('r', 'p') and relnamespace in ('ledger'::regnamespace, 'projections'::regnamespace)"""
    tables: dict[str, bool] = dict(rows(schema, query))
    assert [table for table, has_key in tables.items() if not has_key] == []
    assert tables.keys() - workspace_tables(schema) == set(ONE_PER_DATABASE)


def test_nothing_counts_for_all(schema: Connection[TupleRow]) -> None:
    """There is no sequence, identity column or default that draws from one: each machine would have its own."""
    query: LiteralString = """
        select oid::regclass::text from pg_class
        where relkind = 'S' and relnamespace in ('ledger'::regnamespace, 'projections'::regnamespace)"""
    assert rows(schema, query) == []


def test_the_read_side_hangs_on_nothing(schema: Connection[TupleRow]) -> None:
    """No foreign key leads from one schema to the other."""
    query: LiteralString = """
        select conname from pg_constraint
        join pg_class as here on here.oid = conrelid join pg_class as there on there.oid = confrelid
        where contype = 'f' and here.relnamespace <> there.relnamespace"""
    assert rows(schema, query) == []


def loose_references(text: str, tables: set[str]) -> set[str]:
    """Return the tables of a statement, as it calls them, whose workspace is neither given nor joined to one."""
    found = [(table, alias or table.split(".")[1]) for table, alias in REFERENCE.findall(text)]
    called = {alias: table for table, alias in found if table in tables}
    given = {
        alias
        for alias, table in called.items()
        if re.search(rf"insert into {table}(?: as \w+)?\s*\(\s*workspace_id\b", text)
    }
    if len(called) == 1 and re.search(r"(?<![.\w])workspace_id\s*=", text):
        given |= called.keys()
    links = EQUAL.findall(text)
    given |= {left for left, right in links if right not in called}
    while more := {left for left, right in links if right in given} | {right for left, right in links if left in given}:
        if more <= given:
            break
        given |= more
    return called.keys() - given


def test_every_statement_names_its_workspaces(schema: Connection[TupleRow]) -> None:
    """A statement on a table with workspaces filters, joins or inserts by workspace, unless it is listed."""
    tables = workspace_tables(schema)
    wrong = {name for name, text in STATEMENTS.items() if loose_references(text, tables)}
    touched = [name for name, text in STATEMENTS.items() if any(table in text for table in tables)]
    assert (wrong ^ set(OVER_ALL_WORKSPACES), len(touched) > 40) == (set(), True)


def test_nothing_relies_on_one_machine() -> None:
    """No statement locks a table, notifies, listens or draws a number; advisory locks only where they are listed."""
    schema = re.sub(r"--.*", "", (ROOT / "schema.sql").read_text(encoding="utf-8")).lower()
    texts = {**STATEMENTS, "schema.sql": schema}
    wrong = [name for name, text in texts.items() if GLOBAL_MEANS.search(text.lower())]
    advisory = {name for name, text in texts.items() if "advisory" in text.lower()}
    assert (wrong, advisory ^ set(ADVISORY_LOCKS)) == ([], set())


def test_no_code_depends_on_the_name_of_a_constraint(schema: Connection[TupleRow]) -> None:
    """Programs branch on SQLSTATE alone: over several machines constraints have other names, or none."""
    query: LiteralString = """
        select conname from pg_constraint
        where connamespace in ('ledger'::regnamespace, 'projections'::regnamespace)"""
    names = {row[0] for row in rows(schema, query)}
    wrong = []
    for module in package_modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr == "constraint_name":
                wrong.append(f"{module.path}:{node.lineno}")
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
                wrong.append(f"{module.path}:{node.lineno} {node.value}")
    assert (wrong, len(names) > 20) == ([], True)


def test_every_statement_is_used() -> None:
    """Each named statement is asked for by name in a module of its package."""
    said: dict[str, set[str]] = {}
    for module in package_modules():
        texts = said.setdefault(module.package, set())
        texts |= {
            node.value
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
    unused = [name for package, name, _ in statements() if name.split("/")[1] not in said[package.split(".")[0]]]
    assert unused == []


@pytest.mark.parametrize("name", [name for name, text in STATEMENTS.items() if not UTILITY.match(text)])
def test_every_statement_runs_in_its_role(schema: Connection[TupleRow], name: str) -> None:
    """Each named statement is valid for the schema, and its role has every right that it needs."""
    role = ROLES.get(name.partition("/")[0], "route_ledger_projector")
    with schema.transaction():
        if role is not None:
            schema.execute(f"set local role {role}".encode())
        schema.execute(b"explain (generic_plan) " + numbered(STATEMENTS[name]).encode())


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name.startswith("batch.sql/")])
def test_a_batch_finds_its_rows_by_key(schema: Connection[TupleRow], name: str) -> None:
    """Under the settings of the writer no statement of a batch walks through a whole book or table."""
    text = STATEMENTS[name]
    if UTILITY.match(text):
        return
    with schema.transaction():
        for setting, value in SESSION_SETTINGS.items():
            schema.execute(f"set local {setting} = '{value}'".encode())
        plan = [row[0] for row in schema.execute(b"explain (generic_plan) " + numbered(text).encode())]
    assert [line for line in plan if "Seq Scan on" in line] == []
    for line, condition in pairwise(plan):
        if re.search(r"Index (?:Only )?Scan using event_", line):
            assert re.search(r"workspace_id = .*\b(?:position|stream|command_id)\b", condition), (line, condition)


def test_utility_statements_are_few() -> None:
    """What cannot be prepared are beginnings and ends of transactions, settings, copies and statistics."""
    names = {name.split("/")[1] for name, text in STATEMENTS.items() if UTILITY.match(text)}
    assert {name.split("_")[0] for name in names} == {"begin", "commit", "rollback", "be", "copy", "analyze"}
