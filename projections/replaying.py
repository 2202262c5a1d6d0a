"""One book folded from its events alone, its hash chain recomputed on the way. No I/O but one rare look back.

This is the hot loop of a replay, written for its speed: the bytes that are hashed are those that
`ledger.store.chain.leaf_digest` hashes (a test holds the two together), put together from parts that repeat.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import msgspec

from ledger.book import BookState
from ledger.events import CATALOG_STREAM, REQUEST_STREAM, TAGS, WORKSPACE_STREAM, Fact, decode_fact
from ledger.posting_rules import RULES
from ledger.request.state import RequestState, Status, fold_request
from ledger.store.chain import FORMAT, start_digest

__all__ = ["BookReplay", "Difference", "Earlier", "ReplayedEvent", "Turnovers"]

ReplayedEvent = tuple[str, int, str, int, str, str, int, bytes, bytes]
"""Workspace, position, stream, version, tag, command id, recorded at, state, digest."""

Earlier = Callable[[str, str, int], list[tuple[int, bytes]]]
"""Returns version and state of a stream's events below a version: (workspace, stream, version)."""

Turnovers = dict[tuple[str, str], list[int]]
"""[debit, credit] by (bucket, account), in smallest parts."""

DIFFERENCES_PER_BOOK_MAX = 100
NOT_APPLICABLE = (
    msgspec.MsgspecError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError,
)  # fmt: skip
"""What comes of an event that is no event, or does not fit what was before it."""

LENGTHS = [length.to_bytes(4, "big") for length in range(4096)]
NUMBERS = [LENGTHS[len(b"%d" % number)] + b"%d" % number for number in range(1024)]


class Difference(msgspec.Struct, frozen=True):
    """Something live that is not what the events say: what they say, and what was found."""

    workspace_id: str
    what: str
    expected: str
    found: str


def field(content: bytes) -> bytes:
    """Return a field of a leaf: its length and its bytes."""
    return len(content).to_bytes(4, "big") + content


class BookReplay:
    """A book while its events are folded. `differences` names what is wrong with the events themselves.

    Ended requests are forgotten, so that memory does not grow with the book; an event on one of them folds its
    few earlier events again.
    """

    def __init__(self, workspace_id: str, earlier: Earlier, marks: Iterable[int] = ()) -> None:
        self.state = BookState(workspace_id)
        self._buckets: defaultdict[str, dict[str, list[int]]] = defaultdict(dict)
        self.turnovers_at: dict[int, Turnovers] = {}
        """What had gone through the accounts at each of the marks that was reached."""
        self.digest = start_digest(workspace_id)
        self.differences: list[Difference] = []
        self.is_broken = False
        self._earlier = earlier
        self._marks = frozenset(marks)
        self._leaf_start = b"\x00" + field(FORMAT) + field(workspace_id.encode())
        self._tags: dict[str, bytes] = {}

    def apply(self, events: Iterable[ReplayedEvent]) -> None:
        """Check and fold events in order."""
        book, tags, leaf_start, previous = self.state, self._tags, self._leaf_start, self.digest
        for _, position, stream, version, tag, command_id, recorded_at, content, digest in events:
            if position != book.position + 1 or recorded_at < book.recorded_at:
                self._report_order(position, recorded_at)
            place, name, command, instant = b"%d" % position, stream.encode(), command_id.encode(), b"%d" % recorded_at
            leaf = sha256(
                b"".join(
                    (
                        leaf_start,
                        LENGTHS[len(place)], place,
                        LENGTHS[len(name)], name,
                        NUMBERS[version] if 0 <= version < 1024 else field(b"%d" % version),
                        tags[tag] if tag in tags else self._new_tag(tag),
                        LENGTHS[len(command)], command,
                        LENGTHS[len(instant)], instant,
                        LENGTHS[len(content)] if len(content) < 4096 else len(content).to_bytes(4, "big"), content,
                    )
                )
            ).digest()  # fmt: skip
            computed = sha256(b"\x02" + previous + leaf).digest()
            if computed != digest:
                self.report(f"event {position} digest", computed.hex(), digest.hex())
            # The chain goes on from what is stored: one changed event is one difference.
            previous = self.digest = digest
            if not self.is_broken:
                try:
                    self._fold(position, stream, version, tag, recorded_at, decode_fact(content))
                    continue
                except NOT_APPLICABLE as error:
                    self.report(f"event {position}", "one that can be applied", f"{type(error).__name__}: {error}")
                    self.is_broken = True
            book.position, book.recorded_at = position, recorded_at

    def _new_tag(self, tag: str) -> bytes:
        """Return a tag as a field, and remember it: there are few."""
        self._tags[tag] = field(tag.encode())
        return self._tags[tag]

    def _report_order(self, position: int, recorded_at: int) -> None:
        book = self.state
        if position != book.position + 1:
            self.report(f"event {book.position + 1}", "an event", f"position {position}")
        if recorded_at < book.recorded_at:
            self.report(f"event {position} recorded_at", f"at least {book.recorded_at}", recorded_at)

    def report(self, what: str, expected: object, found: object) -> None:
        """Note a difference, unless there are very many already."""
        if len(self.differences) < DIFFERENCES_PER_BOOK_MAX:
            self.differences.append(Difference(self.state.workspace_id, what, str(expected), str(found)))

    def _fold(self, position: int, stream: str, version: int, tag: str, recorded_at: int, fact: Fact) -> None:
        """Fold one event into the book and its accounts."""
        book = self.state
        event: Any = fact.event
        if TAGS[type(event)] != tag:
            self.report(f"event {position} tag", TAGS[type(event)], tag)
        if stream.startswith(REQUEST_STREAM):
            requests = book.requests
            request_id = stream[len(REQUEST_STREAM) :]
            if version > 1 and request_id not in requests:
                requests[request_id] = self._look_back(stream, version)
            book.apply(stream, fact, position, recorded_at)
            state = requests[request_id]
            reached = state.version
            if state.status is not Status.OPEN:
                del requests[request_id]
        else:
            book.apply(stream, fact, position, recorded_at)
            reached = book.version_of(stream)
        if reached != version:
            self.report(f"event {position} version", reached, version)
        for entry in RULES[type(event)](event):
            turnovers = self._buckets[entry.bucket]
            for leg in entry.legs:
                minor = leg.minor
                try:
                    turnovers[leg.debit_account][0] += minor
                except KeyError:
                    turnovers[leg.debit_account] = [minor, 0]
                try:
                    turnovers[leg.credit_account][1] += minor
                except KeyError:
                    turnovers[leg.credit_account] = [0, minor]
        if position in self._marks:
            self.turnovers_at[position] = self.turnovers

    def _look_back(self, stream: str, version: int) -> RequestState:
        """Return a request that had ended, folded from the events before this version."""
        state: RequestState | None = None
        for _, content in self._earlier(self.state.workspace_id, stream, version):
            fact = decode_fact(content)
            event: Any = fact.event
            state = fold_request(state, event, fact.effective_at)
        # Counted, not believed: a version that is missing is missed here.
        if state is None or state.version != version - 1:
            raise LookupError(f"the events of {stream} before version {version} are not all there")
        return state

    @property
    def turnovers(self) -> Turnovers:
        """What went through each account so far."""
        return {
            (bucket, account): list(turnover)
            for bucket, accounts in self._buckets.items()
            for account, turnover in accounts.items()
        }

    @property
    def stream_versions(self) -> tuple[int, int]:
        """The versions of the workspace's and the catalog's stream."""
        return self.state.version_of(WORKSPACE_STREAM), self.state.version_of(CATALOG_STREAM)
