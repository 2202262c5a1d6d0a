"""What a gateway asks of a ledger elsewhere beside its posts: who calls, health of routes, kept responses.

Without I/O, like `ledger_calls`: each function returns the steps of one call.
"""

from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from gateway.ledger_answers import Decoder
from gateway.ledger_calls import JSON, Calls, Steps, get_call
from gateway.ledger_errors import RefusedByLedger
from gateway.ledger_exchange import Call, Step, exchange
from ledger.api.command_table import BASE_PATH
from ledger.api.refusal_table import HttpRefusal
from ledger.core.commands import to_datetime
from ledger.core.refusals import Refusal
from ledger.operating import (
    MOMENT_MAX,
    Caller,
    EndUserBody,
    EndUserHash,
    Health,
    PinnedResponse,
    RefusedCalls,
    RefusedCallsPage,
    TokenBody,
)

_encoder = msgspec.json.Encoder()
decode_caller = Decoder(Caller)
decode_hash = Decoder(EndUserHash)
decode_health = Decoder(Health)
decode_pinned = Decoder(PinnedResponse)
decode_refused_calls = Decoder(RefusedCallsPage)

NOTHING_THERE = frozenset({Refusal.API_KEY_UNKNOWN, Refusal.WORKSPACE_UNKNOWN, HttpRefusal.NOT_FOUND})
"""Refusals that say that what was asked for is not there."""


class OperatingCalls(Calls):
    """The steps of every call, those of a running gateway with them."""

    def identify(self, token: str) -> Steps[Caller | None]:
        """Ask whose key a token is."""
        body = yield from self._asked(post_body("callers", TokenBody(token)))
        caller: Caller | None = None if body is None else decode_caller(body)
        return caller

    def hash_end_user(self, workspace_id: str, end_user: str) -> Steps[str]:
        """Ask what stands for an end user in a book."""
        reply = yield from exchange(post_body("end-users", EndUserBody(workspace_id, end_user)), self.patience())
        hashed: EndUserHash = decode_hash(reply.body)
        return hashed.hash

    def count_refused_calls(self, counts: Sequence[RefusedCalls]) -> Steps[None]:
        """Add refused calls. Sent again after a lost answer they may count twice."""
        yield from exchange(post_body("refused-calls", counts), self.patience())

    def refused_calls(
        self, workspace_id: str | None, begin: int, end: int, cursor: str | None
    ) -> Steps[RefusedCallsPage]:
        """Read how many calls were refused."""
        parameters = {} if workspace_id is None else {"workspace_id": workspace_id}
        if cursor is not None:
            parameters["cursor"] = cursor
        for name, instant in (("from", begin), ("to", min(end, MOMENT_MAX))):
            parameters[name] = to_datetime(instant).isoformat().replace("+00:00", "Z")
        reply = yield from exchange(get_call("refused-calls", **parameters), self.patience())
        page: RefusedCallsPage = decode_refused_calls(reply.body)
        return page

    def health(self) -> Steps[Health]:
        """Read what gateways reported last."""
        reply = yield from exchange(get_call("gateway", "health"), self.patience())
        health: Health = decode_health(reply.body)
        return health

    def report_health(self, health: Health) -> Steps[None]:
        """Replace what is known of some routes and providers."""
        yield from exchange(post_body("health", health), self.patience())

    def pin_response(self, pinned: PinnedResponse) -> Steps[None]:
        """Keep which route a stored response is on."""
        yield from exchange(post_body("responses", pinned), self.patience())

    def pinned_response(self, workspace_id: str, response_id: str) -> Steps[PinnedResponse | None]:
        """Read which route a stored response is on."""
        body = yield from self._asked(get_call("gateway", "responses", workspace_id, response_id))
        pinned: PinnedResponse | None = None if body is None else decode_pinned(body)
        return pinned

    def _asked(self, call: Call) -> Generator[Step, Any, bytes | None]:
        """Return the body of an answer, None where the ledger says that there is no such thing."""
        try:
            reply = yield from exchange(call, self.patience())
        except RefusedByLedger as refused:
            if refused.code in NOTHING_THERE:
                return None
            raise
        return reply.body


def post_body(name: str, body: Any) -> Call:
    """Return the call that posts a body to one of a gateway's own paths."""
    path = f"{BASE_PATH}/gateway/{name}"
    return Call(method="POST", path=path, body=_encoder.encode(body), headers=dict(JSON))
