"""What an upstream has served since it started: for tests that compare it with what was charged."""

from collections import deque

import msgspec
from msgspec import Struct

from gateway.demo.upstream.asked import Interface
from gateway.demo.upstream.planning import Ending, Plan


class ServedCall(Struct, frozen=True, gc=False):
    """One call as it ended. Tokens are those of the whole answer, whatever of it was sent."""

    request_id: str
    interface: Interface
    model: str
    status: int
    ending: Ending
    input_tokens: int
    cached_tokens: int
    written_tokens: int
    output_tokens: int
    reasoning_tokens: int
    content_bytes: int
    """Bytes of generated text that were sent."""

    body_sha256: str


class Totals(Struct):
    """Sums over all calls since the start. Tokens are those of complete answers only."""

    calls: int = 0
    complete: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class Served:
    """The calls of one provider: sums of all, and the newest one by one."""

    def __init__(self, remembered_calls: int) -> None:
        self.totals = Totals()
        self.calls: deque[ServedCall] = deque(maxlen=remembered_calls)

    def add(self, request_id: str, interface: Interface, plan: Plan, ending: Ending, content_bytes: int) -> None:
        """Remember a call that has ended."""
        usage = plan.usage
        totals = self.totals
        totals.calls += 1
        if ending == "complete":
            totals.complete += 1
            totals.input_tokens += usage.input_tokens
            totals.cached_tokens += usage.cached_tokens
            totals.written_tokens += usage.written_tokens
            totals.output_tokens += usage.output_tokens
            totals.reasoning_tokens += usage.reasoning_tokens
        self.calls.append(
            ServedCall(
                request_id,
                interface,
                plan.model,
                plan.status,
                ending,
                usage.input_tokens,
                usage.cached_tokens,
                usage.written_tokens,
                usage.output_tokens,
                usage.reasoning_tokens,
                content_bytes,
                plan.body_digest,
            )
        )

    def report(self) -> bytes:
        """Return the sums and, by request id, the remembered calls of each."""
        requests: dict[str, list[ServedCall]] = {}
        for call in self.calls:
            requests.setdefault(call.request_id, []).append(call)
        return msgspec.json.encode({"totals": self.totals, "requests": requests})
