"""Commands as the bytes of HTTP posts, and rounds of such posts from the load generator's process."""

from collections.abc import Sequence
from tempfile import NamedTemporaryFile

import msgspec

from ledger.api.command_table import BASE_PATH, COMMANDS_PATH, path_of
from ledger.core.commands import Command
from tests.bench.callers import mixes_of
from tests.bench.http_empty import EMPTY_PATH, Small
from tests.bench.http_load import Job, Result
from tests.bench.processes import Child
from tests.bench.scene import Mix

HOST = "127.0.0.1"
COMMANDS_PER_BODY = 1000
ACCEPTED = {"200", "201"}


def post_bytes(path: str, content: bytes, token: str = "") -> bytes:
    """Return a whole post."""
    authorization = f"authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n{authorization}"
        f"content-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def post_single(command: Command, token: str) -> bytes:
    """Return the post of one command to its own path."""
    return post_bytes(path_of(command), msgspec.json.encode(command), token)


def post_many(commands: Sequence[Command], token: str) -> bytes:
    """Return the post of commands in one body."""
    return post_bytes(BASE_PATH + COMMANDS_PATH, msgspec.json.encode(commands), token)


def single_job(port: int, token: str, workspaces: Sequence[str], prefix: str, connections: int, posts: int) -> Job:
    """Return single posts for some connections, each with requests of its own."""
    mixes = mixes_of(workspaces, prefix, connections)
    opening = [post_single(command, token) for mix in mixes for command in mix.opening()]
    shares = [[post_single(command, token) for command in mix.take(posts // connections)] for mix in mixes]
    return Job(HOST, port, opening, shares)


def bulk_job(
    port: int, token: str, workspaces: Sequence[str], prefix: str, connections: int, bodies: int, lag: int
) -> Job:
    """Return bodies of 1,000 commands for some connections."""
    mixes = [Mix(workspaces, f"{prefix}.{number}.", lag, number * lag) for number in range(connections)]
    opening = [post_many(mix.opening(), token) for mix in mixes]
    each = bodies // connections
    shares = [[post_many(mix.take(COMMANDS_PER_BODY), token) for _ in range(each)] for mix in mixes]
    return Job(HOST, port, opening, shares)


def empty_job(port: int, connections: int, posts: int) -> Job:
    """Return posts to the empty endpoint."""
    post = post_bytes(EMPTY_PATH, msgspec.json.encode(Small("r" * 32, 1, "request_routed.v1")))
    return Job(HOST, port, [post], [[post] * (posts // connections)] * connections)


def run_job(client: Child, job: Job) -> Result:
    """Let the client's process run a job; every post must be accepted."""
    with NamedTemporaryFile(suffix=".job") as file:
        file.write(msgspec.msgpack.encode(job))
        file.flush()
        client.say(file.name)
        result = msgspec.json.decode(client.hear(), type=Result)
    assert result.statuses.keys() <= ACCEPTED, result.statuses
    return result
