"""Reads over HTTP: looked at once, then timed by the load generator's process over one connection that stays open."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx

from ledger.api.command_table import BASE_PATH
from tests.bench.http_load import Job, Result
from tests.bench.http_posts import HOST, run_job
from tests.bench.processes import Child, free_port, running

SERVER = "tests.bench.http_server"
LOAD = "tests.bench.http_load"


class Reads:
    """A server on some books, and a client with a key of the platform."""

    def __init__(self, client: Child, port: int, token: str) -> None:
        self._client = client
        self._port = port
        self._token = token

    def look(self, path: str, token: str | None = None) -> Any:
        """Return what a path answers."""
        headers = {"Authorization": f"Bearer {token or self._token}"}
        answer = httpx.get(
            f"http://{HOST}:{self._port}{BASE_PATH}{path}", headers=headers, timeout=120, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def time(self, paths: Sequence[str], token: str | None = None) -> Result:
        """Read paths one after the other, and return how long that took."""
        gets = [
            f"GET {BASE_PATH}{path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token or self._token}\r\n\r\n"
            for path in paths
        ]
        return run_job(self._client, Job(HOST, self._port, [], [[get.encode() for get in gets]]))


@contextmanager
def served(url: str) -> Iterator[Reads]:
    """Serve a database, followers included, for as long as the block lasts."""
    port = free_port()
    with running(SERVER, "ledger", url, str(port)) as server, running(LOAD) as client:
        yield Reads(client, port, server.hear())


def path_of_read(path: str, **query: str | int | None) -> str:
    """Return a path with the parameters that are given."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
