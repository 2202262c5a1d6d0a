"""Calls through the gateway and past it: the upstream, the client and the servers, and what is seen of a round."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import get_args

import msgspec

from tests.bench.gateway_books import check_books
from tests.bench.gateway_calls import Kind, call_job, run_calls
from tests.bench.gateway_load import Result
from tests.bench.gateway_pass import CHAT_PATH, DEMO_PATH
from tests.bench.gateway_server import Used
from tests.bench.http_posts import HOST
from tests.bench.processes import Child, free_port, running, wait_until_open
from tests.bench.report import counted

SERVER = "tests.bench.gateway_server"
LOAD = "tests.bench.gateway_load"
GATEWAY, PASS, DIRECT = "i", "j", "k"
"""The sections of the report, and whom a call reaches first."""

SERVED = {GATEWAY: "gateway", PASS: "pass"}
REMEMBERED_CALLS = "1000000"
PROVIDER = "openai"
"""Whom the gateway calls for `smart`: the upstream counts by this name what it has served."""

DIRECT_PATH = DEMO_PATH.format("direct") + "/chat/completions"
KINDS: tuple[Kind, ...] = get_args(Kind)


class Seen(msgspec.Struct, frozen=True):
    """What was seen of one round: the client's result, and the server's processor time for each call."""

    result: Result
    cpu_ms: float


class Stage:
    """The client and whom it may call, by section of the report; and what was seen of each measurement."""

    def __init__(self, client: Child, servers: dict[str, Child], ports: dict[str, int], token: str) -> None:
        self.client, self.servers, self.ports, self.token = client, servers, ports, token
        self.seen: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        self.gateway_calls = 0

    def used(self, section: str) -> Used:
        """Return what a server's process has used until now; the upstream's is not asked."""
        server = self.servers.get(section)
        if server is None:
            return Used(0, 0)
        server.say("")
        return msgspec.json.decode(server.hear(), type=Used)

    def call(self, section: str, kinds: tuple[Kind, ...], connections: int, calls: int) -> Seen:
        """Send calls over some connections, of the kinds by turns."""
        path = DIRECT_PATH if section == DIRECT else CHAT_PATH
        job = call_job(self.ports[section], path, self.token, kinds, connections, calls)
        before = self.used(section)
        result = run_calls(self.client, job)
        cpu_seconds = self.used(section).cpu_seconds - before.cpu_seconds
        if section == GATEWAY:
            self.gateway_calls += result.calls
        return Seen(result, cpu_seconds / result.calls * 1000)

    def measure(self, section: str, kind: Kind, connections: int, calls: int) -> float:
        """Note a round and return the calls per second."""
        seen = self.call(section, (kind,), connections, calls)
        self.seen[section, name_of(kind, connections)].append(seen)
        return seen.result.calls / seen.result.seconds

    def middle(self, section: str, name: str, field: str) -> float:
        """Return the median over the rounds of something that was seen of the client."""
        return float(median(getattr(seen.result, field) for seen in self.seen[section, name]))


def name_of(kind: Kind, connections: int) -> str:
    """Return what a measurement is called in each of the sections."""
    return f"{kind}, {counted(connections, 'connection')}"


@contextmanager
def staged(url: str, directory: Path, sections: str) -> Iterator[Stage]:
    """Run the upstream, the client, the gateway and, where its section is measured, the pass-through.

    When the gateway has ended, its book is held against what the upstream says that it has served.
    """
    ports = {section: free_port() for section in (GATEWAY, PASS, DIRECT)}
    upstream = ("--port", str(ports[DIRECT]), "--remembered-calls", REMEMBERED_CALLS)
    with running("gateway.demo.upstream", *upstream), running(LOAD) as client:
        with ExitStack() as stack:
            # All start at once; each is waited for where its first line is heard.
            servers = {
                section: stack.enter_context(
                    running(SERVER, what, url, str(ports[section]), str(ports[DIRECT]), str(directory))
                )
                for section, what in SERVED.items()
                if section in sections
            }
            tokens = {section: server.hear() for section, server in servers.items()}
            wait_until_open(HOST, ports[DIRECT])
            stage = Stage(client, servers, ports, tokens[GATEWAY])
            yield stage
        check_books(url, ports[DIRECT], PROVIDER, stage.gateway_calls)
