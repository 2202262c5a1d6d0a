"""The commands that end a request, and the order in which those of many requests are posted."""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from gateway.books.protocol import Books, Posted
from ledger.core.refusals import Refusal, Refused
from ledger.request.commands import RecordAttempt, ReleaseRequest, SettleRequest

LastWord = RecordAttempt | SettleRequest | ReleaseRequest
"""What may be posted later than it happened. None of them holds a secret, a name or anything of a prompt."""

RequestKey = tuple[str, str]


class Letter(Struct, frozen=True):
    """Commands of one request in their order, under a name."""

    name: str
    commands: tuple[LastWord, ...]

    @property
    def request(self) -> RequestKey:
        """The workspace and the request that it belongs to."""
        return self.commands[0].workspace_id, self.commands[0].request_id


class Answered(Struct, frozen=True):
    """A letter with an outcome for each of its commands: none of them is left to be posted again."""

    letter: Letter
    outcomes: tuple[Posted | Refused, ...]

    @property
    def rejected(self) -> list[tuple[LastWord, Refused]]:
        """The commands that were refused for good, with what was said."""
        return [
            (command, outcome)
            for command, outcome in zip(self.letter.commands, self.outcomes, strict=True)
            if isinstance(outcome, Refused) and not has_happened(command, outcome)
        ]


def may_pass(refused: Refused) -> bool:
    """Return whether a last word that is refused may be recorded later.

    A time in the future becomes one of the past: a clock here was ahead of the database's.
    """
    return refused.transient or refused.code is Refusal.EFFECTIVE_AT_OUT_OF_RANGE


def has_happened(command: LastWord, refused: Refused) -> bool:
    """Return whether a refusal says that what the command wants is on record already.

    A hold may expire before its release arrives. What was recorded unseen, before it was spooled, has the time of its
    recording; from the spool it comes with the time at which it was put there.
    """
    if refused.code is Refusal.REQUEST_RELEASED:
        return isinstance(command, ReleaseRequest)
    return refused.code is Refusal.IDENTITY_CONFLICT and refused.facts.get("field") == "effective_at"


async def post_in_order(books: Books, letters: Sequence[Letter]) -> list[Answered]:
    """Post letters and return those that are answered in full.

    All requests go side by side, the commands of one request one after the other: at the first that may pass only
    later its request stops.
    """
    outcomes: dict[str, list[Posted | Refused]] = {letter.name: [] for letter in letters}
    lines: dict[RequestKey, deque[tuple[str, LastWord]]] = {}
    for letter in letters:
        lines.setdefault(letter.request, deque()).extend((letter.name, command) for command in letter.commands)
    while lines:
        heads = [(request, *line[0]) for request, line in lines.items()]
        results = await books.post_many([command for _, _, command in heads])
        for (request, name, _), result in zip(heads, results, strict=True):
            if isinstance(result, Refused) and may_pass(result):
                del lines[request]
                continue
            outcomes[name].append(result)
            lines[request].popleft()
            if not lines[request]:
                del lines[request]
    return [
        Answered(letter, tuple(outcomes[letter.name]))
        for letter in letters
        if len(outcomes[letter.name]) == len(letter.commands)
    ]
