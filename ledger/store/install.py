"""The database from nothing to ready: schema or migrations, the hash key, the platform's book.

Any number of processes may do this at once: everything happens under one lock of the database, for one moment.
"""

import re
import secrets
from importlib.resources import files

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.identifiers import PLATFORM
from ledger.store.chain import start_digest
from ledger.store.queries import load_queries
from ledger.store.resources import read_schema

QUERIES = load_queries("ledger.store.sql", "install.sql")
MIGRATION_PATTERN = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql\Z")
SERVER_VERSION_MIN = 160_000


class DatabaseUnusable(RuntimeError):
    """The database cannot be used as it is. The message says what to do about it."""


def read_migrations() -> dict[int, tuple[str, str]]:
    """Return (name, SQL) of every migration by number; numbers run from 1 without gaps."""
    found: dict[int, tuple[str, str]] = {}
    for file in files("ledger.store.migrations").iterdir():
        match = MIGRATION_PATTERN.match(file.name)
        if match is not None:
            found[int(match.group(1))] = (match.group(2), file.read_text(encoding="utf-8"))
    if sorted(found) != list(range(1, len(found) + 1)):
        raise DatabaseUnusable(f"migrations are not numbered from 1 without gaps: {sorted(found)}")
    return dict(sorted(found.items()))


def prepare_database(url: str, purpose: str = "production") -> None:
    """Bring a database to this version's schema: a new one by `schema.sql`, an old one by migrations.

    `purpose` is `production` or `demo`, for ever. Raises DatabaseUnusable for a server that is too old, a role
    that may not create roles, a database of a newer version or of the other purpose.
    """
    with psycopg.connect(
        url, autocommit=True, connect_timeout=5, application_name="route-ledger install"
    ) as connection:
        if connection.info.server_version < SERVER_VERSION_MIN:
            raise DatabaseUnusable("PostgreSQL 16 or newer is needed")
        with connection.transaction():
            connection.execute(QUERIES["one_at_a_time"])
            try:
                bring_forward(connection)
            except psycopg.errors.InsufficientPrivilege as error:
                raise DatabaseUnusable(
                    f"the database role may not set up the schema ({error}); let an administrator create the roles "
                    "route_ledger_writer and route_ledger_projector, grant them to it, and grant it CREATE on the "
                    "database"
                ) from error
            installation = {"purpose": purpose, "hash_key": secrets.token_bytes(32)}
            connection.execute(QUERIES["insert_installation"], installation)
            require_purpose(connection, purpose)
            connection.execute(QUERIES["insert_platform_book"], {"digest": start_digest(PLATFORM)})


def read_purpose(url: str) -> str:
    """Return what an existing database was made for: `production` or `demo`. A new one is for production."""
    with psycopg.connect(url, autocommit=True, application_name="route-ledger install") as connection:
        exists = connection.execute(QUERIES["schema_exists"]).fetchone()
        row = connection.execute(QUERIES["read_purpose"]).fetchone() if exists is not None and exists[0] else None
    return "production" if row is None else str(row[0])


def require_purpose(connection: Connection[TupleRow], purpose: str) -> None:
    """Refuse demo data as production, and the other way round."""
    row = connection.execute(QUERIES["read_purpose"]).fetchone()
    if row is None or row[0] != purpose:
        found = "nothing" if row is None else row[0]
        raise DatabaseUnusable(f"this database was made for {found}, not for {purpose}: use another one")


def bring_forward(connection: Connection[TupleRow]) -> None:
    """Apply the schema or whatever migrations are missing, and note them."""
    migrations = read_migrations()
    exists = connection.execute(QUERIES["schema_exists"]).fetchone()
    if exists is None or not exists[0]:
        run_script(connection, read_schema())
        for number, (name, _) in migrations.items():
            connection.execute(QUERIES["note_migration"], {"migration": number, "name": name})
        return
    applied = {row[0] for row in connection.execute(QUERIES["read_migrations"]).fetchall()}
    unknown = applied - migrations.keys()
    if unknown:
        raise DatabaseUnusable(
            f"the database is newer than this version: migrations {sorted(unknown)} are not known here"
        )
    for number, (name, script) in migrations.items():
        if number not in applied:
            run_script(connection, script)
            connection.execute(QUERIES["note_migration"], {"migration": number, "name": name})


def run_script(connection: Connection[TupleRow], script: str) -> None:
    """Run a script of many statements inside the current transaction."""
    connection.execute(script.encode())
