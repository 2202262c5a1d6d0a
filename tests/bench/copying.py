"""A bare COPY of the rows that a rebuild writes: from memory, nothing computed.

Three ways. `copy_bytes` sends what PostgreSQL itself encoded, which no program that makes rows can reach;
`copy_rows` has psycopg encode Python's values, as a plain program would. Either into tables without keys, or into
tables with the primary keys that a rebuild's tables end with.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from tests.bench.measure import timed

PARTS = ("leg", "entry", "movement", "account", "wallet")
KEYED = "_keyed"
CREATE = """
create schema if not exists bare;
create table bare.{part} (like projections.{part} including defaults);
create table bare.{part}_keyed (like projections.{part} including defaults including indexes);
"""


class BareCopy:
    """The rows of the journal's generation that is read, as COPY's own binary form and as values."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._content: dict[str, bytes] = {}
        self._values: dict[str, list[tuple[Any, ...]]] = {}
        self._types: dict[str, list[int]] = {}
        with psycopg.connect(url) as connection:
            for part in PARTS:
                connection.execute(CREATE.format(part=part).encode())
                found = connection.execute(f"select * from projections.{part}".encode(), binary=True)
                self._types[part] = [column.type_code for column in found.description or ()]
                self._values[part] = found.fetchall()
                query = f"copy (select * from projections.{part}) to stdout (format binary)".encode()
                with connection.cursor().copy(query) as copy:
                    self._content[part] = b"".join(bytes(piece) for piece in copy)
        self.rows = sum(map(len, self._values.values()))

    def copy_bytes(self, suffix: str = "", connections: int = 1) -> float:
        """Copy encoded rows into empty tables, one after the other or at once; return the rows per second."""
        return self._run(suffix, connections, lambda copy, part: copy.write(self._content[part]))

    def copy_rows(self, suffix: str = "") -> float:
        """Copy values into empty tables, and return the rows per second."""

        def write(copy: psycopg.Copy, part: str) -> None:
            copy.set_types(self._types[part])
            for row in self._values[part]:
                copy.write_row(row)

        return self._run(suffix, 1, write)

    def _run(self, suffix: str, connections: int, write: Callable[[psycopg.Copy, str], None]) -> float:
        with psycopg.connect(self.url) as connection:
            for part in PARTS:
                connection.execute(f"truncate bare.{part}{suffix}".encode())

        def fill(part: str) -> None:
            query = f"copy bare.{part}{suffix} from stdin (format binary)".encode()
            with psycopg.connect(self.url) as connection, connection.cursor().copy(query) as copy:
                write(copy, part)

        with ThreadPoolExecutor(connections) as pool:
            _, seconds = timed(lambda: list(pool.map(fill, PARTS)))
        return self.rows / seconds
