"""What may be asked of a ledger, and what its answers are, without I/O: each function returns the steps of one call."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from gateway.ledger_answers import CatalogAnswer, Decoder, catalog_of
from gateway.ledger_errors import AnswerUnreadable, RefusedByLedger
from gateway.ledger_exchange import Call, Patience, Retrying, Step, Timing, exchange, is_passing, refused_by
from gateway.ledger_journal import (
    Listing,
    MomentAsked,
    Page,
    decode_balance_at,
    decode_change,
    decode_receipt,
    decode_run,
    decode_trial_balance,
    moment_parameters,
)
from ledger.api.answers import Balance, Balances, CommandAnswer, KeyAnswer
from ledger.api.command_table import BASE_PATH, COMMAND_ROUTES, COMMANDS_MAX, COMMANDS_PATH
from ledger.api.period_answers import PeriodsView
from ledger.api.refusal_table import RETRY_AFTER_SECONDS, HttpRefusal
from ledger.catalog.state import Catalog
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.identifiers import IDENTIFIER_PATTERN
from ledger.core.refusals import Refusal
from ledger.workspace.commands import IssueApiKey
from projections.api.answers import TrialBalance, WalletBalance
from projections.change.answers import Change
from projections.receipt.answers import CustomerReceipt
from projections.route_ledger.answers import CustomerRunView, RunView

BATCH_BYTES_MAX = 900_000
"""Below the 1 MB that the ledger takes in one body."""

JSON = {"content-type": "application/json"}
ROUTE_OF = {route.command: route for route in COMMAND_ROUTES}

PAGE_LIMIT = "200"
"""The most that the ledger gives at once."""

DECIDED = frozenset(
    {Refusal.AVAILABLE_IS_HELD, Refusal.REQUESTS_PER_MINUTE_EXCEEDED, Refusal.TOKENS_PER_MINUTE_EXCEEDED}
)
"""Refusals that pass, but were decided: whether to wait is the caller's business."""

T = TypeVar("T")
Steps = Generator[Step, Any, T]


class PostOutcome(msgspec.Struct, frozen=True):
    """What became of one command of many: an event on record, or a refusal."""

    recorded: CommandAnswer | None = None
    refused: RefusedByLedger | None = None

    @property
    def available(self) -> StatedAmount | None:
        """What a new hold has left of its wallet; None for everything else, repeats included."""
        return None if self.recorded is None else self.recorded.available

    @property
    def repeated(self) -> bool:
        """Whether the same command had been recorded before."""
        return self.recorded is not None and self.recorded.repeated


class _BatchAnswer(msgspec.Struct, frozen=True):
    status: int
    recorded: CommandAnswer | None = None
    problem: dict[str, Any] | None = None


_encoder = msgspec.json.Encoder()


decode_answer = Decoder(CommandAnswer)
decode_key_answer = Decoder(KeyAnswer)
decode_batch = Decoder(list[_BatchAnswer])
decode_balances = Decoder(Balances)
decode_balance = Decoder(Balance)
decode_periods = Decoder(PeriodsView)
decode_catalog = Decoder(CatalogAnswer)


class Calls:
    """The steps of every call, for one persistence and one clock."""

    def __init__(self, retrying: Retrying, timing: Timing) -> None:
        self.retrying = retrying
        self.timing = timing

    def patience(self) -> Patience:
        """Return what one call may take, beginning now."""
        return Patience(self.retrying, self.timing)

    def post(self, command: Command) -> Steps[CommandAnswer]:
        """Post one command to its own path."""
        reply = yield from exchange(post_call(command), self.patience())
        answer: CommandAnswer = decode_answer(reply.body)
        return answer

    def issue_key(self, command: IssueApiKey) -> Steps[KeyAnswer]:
        """Post the command that issues a key; its answer has the token."""
        reply = yield from exchange(post_call(command), self.patience())
        answer: KeyAnswer = decode_key_answer(reply.body)
        return answer

    def post_many(self, commands: Sequence[Command]) -> Steps[list[PostOutcome]]:
        """Post commands in bodies of at most a thousand, in order."""
        outcomes: list[PostOutcome] = []
        for bodies in in_batches([_encoder.encode(command) for command in commands]):
            outcomes += yield from self._post_batch(bodies)
        return outcomes

    def _post_batch(self, bodies: list[bytes]) -> Steps[list[PostOutcome]]:
        """Post one batch, and from the first command that may pass later on, again.

        Those behind it go again too, in their order: they may have been refused only because it was. Posted
        twice they count once, and what was recorded the first time is not called a repeat.
        """
        patience = self.patience()
        outcomes: list[PostOutcome] = []
        while True:
            begin = next((at for at, known in enumerate(outcomes) if self._may_pass(known)), len(outcomes))
            if outcomes and begin == len(outcomes):
                return outcomes
            if outcomes:
                pause = patience.pause(pause_of(outcomes[begin].refused))
                if pause is None:
                    return outcomes
                yield pause
            reply = yield from exchange(batch_call(bodies[begin:]), patience)
            answers = [outcome_of(answer) for answer in decode_batch(reply.body)]
            if len(answers) != len(bodies) - begin:
                raise AnswerUnreadable("the answer has another number of outcomes than commands were sent")
            before = outcomes[begin:] or answers
            outcomes[begin:] = [
                old if old.recorded is not None else new for old, new in zip(before, answers, strict=True)
            ]

    def _may_pass(self, outcome: PostOutcome) -> bool:
        refused = outcome.refused
        if refused is None:
            return False
        is_undecided = refused.transient and refused.code not in DECIDED
        return is_passing(refused, self.retrying) or (is_undecided and self.retrying.repeat_refused)

    def wallets(self, workspace_id: str) -> Steps[Balances]:
        """Read all balances of a workspace."""
        reply = yield from exchange(get_call("wallets", workspace_id), self.patience())
        balances: Balances = decode_balances(reply.body)
        return balances

    def wallet(self, workspace_id: str, bucket: str) -> Steps[Balance]:
        """Read the balance in one bucket."""
        reply = yield from exchange(get_call("wallets", workspace_id, bucket), self.patience())
        balance: Balance = decode_balance(reply.body)
        return balance

    def periods(self, workspace_id: str) -> Steps[PeriodsView]:
        """Read the months that a book has closed."""
        reply = yield from exchange(get_call("workspaces", workspace_id, "periods"), self.patience())
        periods: PeriodsView = decode_periods(reply.body)
        return periods

    def catalog(self) -> Steps[Catalog]:
        """Read the whole catalog."""
        reply = yield from exchange(get_call("catalog"), self.patience())
        return catalog_of(decode_catalog(reply.body))

    def balance(self, workspace_id: str, bucket: str, moment: MomentAsked) -> Steps[WalletBalance]:
        """Read a wallet's balances at a moment."""
        reply = yield from exchange(
            get_call("wallets", workspace_id, bucket, "balance", **moment_parameters(moment)), self.patience()
        )
        balance: WalletBalance = decode_balance_at(reply.body)
        return balance

    def trial_balance(
        self, workspace_id: str | None, at_least_position: int, moment: MomentAsked
    ) -> Steps[TrialBalance]:
        """Read the trial balance of a workspace, or of all books, at a moment if one is asked for."""
        names = ("trial-balance",) if workspace_id is None else ("workspaces", workspace_id, "trial-balance")
        parameters = moment_parameters(moment)
        if at_least_position:
            parameters["at_least_position"] = str(at_least_position)
        reply = yield from exchange(get_call(*names, **parameters), self.patience())
        balance: TrialBalance = decode_trial_balance(reply.body)
        return balance

    def receipt(self, request_id: str, workspace_id: str | None, at_least_position: int) -> Steps[CustomerReceipt]:
        """Read the receipt of a request; without a workspace the key's own."""
        parameters = {} if workspace_id is None else {"workspace_id": workspace_id}
        if at_least_position:
            parameters["at_least_position"] = str(at_least_position)
        reply = yield from exchange(get_call("requests", request_id, **parameters), self.patience())
        receipt: CustomerReceipt = decode_receipt(reply.body)
        return receipt

    def run(self, run: str, workspace_id: str | None, cursor: str | None) -> Steps[CustomerRunView | RunView]:
        """Read a run's totals and a page of its requests; without a workspace the key's own."""
        asked = {"run": run, "workspace_id": workspace_id, "cursor": cursor, "limit": PAGE_LIMIT}
        parameters = {name: value for name, value in asked.items() if value is not None}
        reply = yield from exchange(get_call("runs", **parameters), self.patience())
        view: CustomerRunView | RunView = decode_run(reply.body)
        return view

    def change(self, asked: Mapping[str, str]) -> Steps[Change]:
        """Read why two periods differ."""
        reply = yield from exchange(get_call("spend", "change", **asked), self.patience())
        change: Change = decode_change(reply.body)
        return change

    def page(self, listing: Listing[T], cursor: str | None, at_least_position: int) -> Steps[Page[T]]:
        """Read the page of a listing that a cursor leads to, the first one without."""
        parameters = {**listing.parameters, "limit": PAGE_LIMIT}
        if cursor is not None:
            parameters["cursor"] = cursor
        elif at_least_position:
            parameters["at_least_position"] = str(at_least_position)
        reply = yield from exchange(get_call(*listing.names, **parameters), self.patience())
        page = listing.decode(reply.body)
        if page.has_more and page.next_cursor in (None, cursor):
            raise AnswerUnreadable("a page says that there is more, but not where")
        return page


def path_segment(name: str) -> str:
    """Return a name as one segment of a path. Raises RefusedByLedger for one that can't be: no ledger has it."""
    if not name.strip("."):
        raise RefusedByLedger(Refusal.TEXT_INVALID, 400, "an id in the path is empty or dots", {})
    return quote(name, safe="")


def idempotency_key(identity: str) -> str:
    """Return an identity as its header. Raises RefusedByLedger, as the ledger would."""
    if not IDENTIFIER_PATTERN.match(identity):
        detail = "this post needs an identity of 1 to 128 letters, digits and . _ : -"
        raise RefusedByLedger(HttpRefusal.IDEMPOTENCY_KEY_REQUIRED, 400, detail, {})
    return identity


def post_call(command: Command) -> Call:
    """Return the call that posts a command: its path, its body, and its identity."""
    route = ROUTE_OF[type(command)]
    ids = {field: path_segment(getattr(command, field)) for field in route.path_fields}
    headers = dict(JSON)
    if route.key_field:
        headers["idempotency-key"] = idempotency_key(getattr(command, route.key_field))
    return Call(
        method="POST",
        path=BASE_PATH + route.path.format(**ids),
        body=_encoder.encode(command),
        headers=headers,
    )


def batch_call(bodies: list[bytes]) -> Call:
    """Return the call that posts several encoded commands."""
    return Call(method="POST", path=BASE_PATH + COMMANDS_PATH, body=b"[" + b",".join(bodies) + b"]", headers=dict(JSON))


def get_call(*names: str, **parameters: str) -> Call:
    """Return the call that reads what is at a path."""
    path = "/".join((BASE_PATH, *(path_segment(name) for name in names)))
    return Call(method="GET", path=path, parameters=parameters)


def in_batches(bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield encoded commands in their order, as many at once as the ledger takes."""
    batch: list[bytes] = []
    size = 0
    for body in bodies:
        if batch and (len(batch) == COMMANDS_MAX or size + len(body) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += len(body) + 1
    if batch:
        yield batch


def pause_of(refused: RefusedByLedger | None) -> float:
    """Return how many seconds the ledger asks to wait after a refusal, which a batch has no header for."""
    seconds = [pause for code, pause in RETRY_AFTER_SECONDS.items() if refused is not None and code == refused.code]
    return float(max(seconds, default=1))


def outcome_of(answer: _BatchAnswer) -> PostOutcome:
    """Return one command's outcome. Raises AnswerUnreadable when there is none."""
    if answer.recorded is not None:
        return PostOutcome(answer.recorded)
    if answer.problem is None:
        raise AnswerUnreadable("a command's outcome is neither recorded nor refused")
    return PostOutcome(refused=refused_by(answer.problem, answer.status))
