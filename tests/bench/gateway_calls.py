"""Chat completions as the bytes of HTTP posts, as an agent at work would send them: labels and an end user on each."""

from typing import Literal

import msgspec

from tests.bench.gateway_load import Job, Result
from tests.bench.http_posts import HOST
from tests.bench.processes import Child
from tests.bench.scene import END_USERS, STEPS, WORKFLOWS

Kind = Literal["whole", "stream"]

PROMPT_BYTES = 1024
ANSWER_BYTES = 300
CHUNKS = 20
BEHAVIOUR = f"*:answer_bytes={ANSWER_BYTES};chunks={CHUNKS}"
PROMPT = "Say in one sentence what a customer should know about the order below. "
END_USERS_CALLING = 20
"""Few enough for the upstream to have all of its answers ready: it is not what is measured."""


def call_bytes(path: str, token: str, caller: int, kind: Kind) -> bytes:
    """Return one call of a caller."""
    text = (PROMPT * (PROMPT_BYTES // len(PROMPT) + 1))[:PROMPT_BYTES]
    body: dict[str, object] = {
        "model": "smart",
        "messages": [{"role": "user", "content": text}],
        "user": END_USERS[caller % END_USERS_CALLING],
    }
    if kind == "stream":
        body["stream"] = True
    content = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\naccept: application/json\r\n"
        f"authorization: Bearer {token}\r\nuser-agent: bench\r\nx-demo: {BEHAVIOUR}\r\n"
        f"x-ledger-workflow: {WORKFLOWS[caller % len(WORKFLOWS)]}\r\nx-ledger-run: run-{caller:09d}\r\n"
        f"x-ledger-step: {STEPS[caller % len(STEPS)]}\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def call_job(port: int, path: str, token: str, kinds: tuple[Kind, ...], connections: int, calls: int) -> Job:
    """Return calls for some connections, of the kinds by turns."""
    shares = [[call_bytes(path, token, caller, kind) for kind in kinds] for caller in range(connections)]
    return Job(HOST, port, shares, calls // connections)


def run_calls(client: Child, job: Job) -> Result:
    """Let the client's process run a job. Fails where an answer is no success or does not come to its end."""
    client.say(msgspec.json.encode(job).decode())
    return msgspec.json.decode(client.hear(), type=Result)
