"""Commands in, outcomes out: the only door to the store.

`Ledger` is what the HTTP layer, the command line, the sweeper and in-process gateways hold. Commands are
checked here, queued for the writer, and answered after their commit. Threads and event loops may share one.
"""

import asyncio
import secrets
import string
from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import Self

import msgspec

from ledger.catalog.commands import CatalogCommand
from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM, WORKSPACE_PATTERN, check_text
from ledger.core.refusals import Refusal, Refused
from ledger.events import Recorded
from ledger.keys import hash_secret, hash_user, is_same_hash, make_token, split_token
from ledger.operating import (
    BEGINNING,
    REFUSED_CALLS_MAX,
    RESPONSE_PATTERN,
    Caller,
    Health,
    PinnedResponse,
    RefusedCalls,
    RefusedCallsPage,
    check_health,
    check_pinned_response,
    check_refused_calls,
    cursor_after,
    read_cursor,
)
from ledger.store import operating
from ledger.store.admitting import admit, is_on_periods, merge
from ledger.store.batch import Outcome, Pending, answer
from ledger.store.checkpoint_reads import CheckpointReader
from ledger.store.connection import DATABASE_AWAY, connect_writer, require_durable
from ledger.store.install import prepare_database
from ledger.store.live import FRESH_SECONDS, QUERIES, DisplayName, LiveReader
from ledger.store.periods import Prepared, prepare
from ledger.store.queue import CommandQueue
from ledger.store.reading import read_catalog
from ledger.store.sweeper import SYSTEM, Sweeper
from ledger.store.waiting import Group, LoopDoor, tell_threads
from ledger.store.writer import Writer, deliver
from ledger.wallet.state import WalletState
from ledger.workspace.commands import CreateWorkspace, IssueApiKey, WorkspaceCommand
from ledger.workspace.events import ApiKeyIssued
from ledger.workspace.periods import ReadBasis, nothing_read
from ledger.workspace.state import WorkspaceState

__all__ = ["SYSTEM", "IssuedKey", "Ledger", "LiveWallets", "Outcome", "Principal"]

SECRET_ALPHABET = string.ascii_letters + string.digits
SECRET_LENGTH = 43
SEEN_BY_READS = (WorkspaceCommand, CatalogCommand)
"""Commands after which what was remembered of keys and the catalog is asked again."""

PRINCIPALS_MAX = 10_000
"""Tokens that are remembered as good, each for as long as a workspace's keys are."""

"""Characters of a secret: 62 ** 43 is more than 256 bits."""


class Principal(msgspec.Struct, frozen=True):
    """Who is calling: a key, its book and its scopes. `project_id` narrows a key to one project."""

    workspace_id: str
    api_key_id: str
    scopes: frozenset[str]
    project_id: str | None = None

    @property
    def is_platform(self) -> bool:
        """Whether the key is one of the platform's own, which may see every workspace."""
        return self.workspace_id == PLATFORM


class IssuedKey(msgspec.Struct, frozen=True):
    """A new key. `token` is shown once: None when the command was refused or a repeat."""

    outcome: Outcome
    token: str | None


class LiveWallets(msgspec.Struct, frozen=True):
    """A workspace's wallets as the write side has them, with the book's position at that moment."""

    workspace_id: str
    position: int
    wallets: tuple[WalletState, ...]


def ignore_commits(books: Sequence[str]) -> None:
    """Nobody wants hints about which books moved."""


class Ledger:
    """The book of record in one process: a writer, a sweeper and reads of the live state.

    Whoever has a read side sets `read_basis`, so that periods of large books can be closed, and `on_commit`.
    """

    def __init__(
        self,
        url: str,
        *,
        sweep_seconds: float = 1.0,
        purpose: str = "production",
    ) -> None:
        self.url = url
        prepare_database(url, purpose)
        with connect_writer(url) as connection:
            require_durable(connection)
            row = connection.execute(QUERIES["read_hash_key"]).fetchone()
        if row is None:
            raise Refused(Refusal.UNAVAILABLE, "the database has no hash key: it was not installed by Route Ledger")
        self._hash_key = bytes(row[0])
        self._queue = CommandQueue()
        self.on_commit: Callable[[Sequence[str]], None] = ignore_commits
        self.read_basis: ReadBasis = nothing_read
        self._writer = Writer(url, self._queue, self._committed)
        self._reader = LiveReader(url)
        self.checkpoints = CheckpointReader(self._reader.fetch)
        self._principals: dict[str, tuple[float, Principal]] = {}
        self._doors: dict[asyncio.AbstractEventLoop, LoopDoor] = {}
        self._sweeper = Sweeper(url, self.execute_many, sweep_seconds)
        self._writer.start()
        begun = self.execute(CreateWorkspace(workspace_id=PLATFORM), SYSTEM)
        if begun.refused is not None:
            self.close()
            raise begun.refused
        self._sweeper.start()

    @classmethod
    def open(cls, url: str) -> Self:
        """Return a ledger on a database, which is made ready first. Raises DatabaseUnusable, psycopg.Error, Refused."""
        return cls(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self, drain_seconds: float = 10.0) -> None:
        """Take nothing more, commit what is waiting within the bound, and answer the rest as unavailable."""
        self._sweeper.stop()
        left = self._queue.close(drain_seconds)
        answer(left, Refused(Refusal.UNAVAILABLE, "the service is shutting down"))
        deliver(left)
        self._writer.join(drain_seconds)
        if self._sweeper.is_alive():
            self._sweeper.join(drain_seconds)

    async def close_reads(self) -> None:
        """Close the connections that serve reads; called in the event loop that used them."""
        await self._reader.close()

    def _committed(self, books: Sequence[str]) -> None:
        """Hand on the hint that books have moved, to whoever set `on_commit`."""
        self.on_commit(books)

    @property
    def expired_holds(self) -> int:
        """How many holds expired since the start, with no word of what became of their calls: possible waste."""
        return self._sweeper.expired

    @property
    def queue_depth(self) -> int:
        """How many commands wait for the writer."""
        return len(self._queue)

    def execute(self, command: Command, actor: str) -> Outcome:
        """Return the outcome of one command, after its commit. Blocks the calling thread."""
        return self.execute_many((command,), actor)[0]

    def execute_many(self, commands: Sequence[Command], actor: str) -> list[Outcome]:
        """Return the outcomes of commands, in order. Each stands for itself: one refused fails no other."""
        prepared = self._prepare(commands) if is_on_periods(commands) else None
        if isinstance(prepared, Refused):
            return [Outcome(refused=prepared)] * len(commands)
        outcomes: list[Outcome | None] = []
        group = Group(None)
        pendings = admit(commands, actor, tell_threads, group, outcomes, prepared)
        if pendings and self._put(pendings, group) and group.ready is not None:
            group.ready.wait()
        return merge(outcomes, pendings)

    async def execute_async(self, command: Command, actor: str) -> Outcome:
        """Return the outcome of one command, after its commit."""
        return (await self.execute_many_async((command,), actor))[0]

    async def execute_many_async(self, commands: Sequence[Command], actor: str) -> list[Outcome]:
        """Return the outcomes of commands, in order. Each stands for itself: one refused fails no other.

        A caller that is cancelled while waiting changes nothing: its commands are decided all the same.
        """
        loop = asyncio.get_running_loop()
        door = self._doors.get(loop)
        if door is None:
            for known in list(self._doors):
                if known.is_closed():
                    self._doors.pop(known, None)
            door = self._doors[loop] = LoopDoor(loop, self._queue)
        prepared = await asyncio.to_thread(self._prepare, commands) if is_on_periods(commands) else None
        if isinstance(prepared, Refused):
            return [Outcome(refused=prepared)] * len(commands)
        outcomes: list[Outcome | None] = []
        answered = loop.create_future()
        group = Group(answered)
        pendings = admit(commands, actor, door, group, outcomes, prepared)
        if pendings:
            group.hold(pendings)
            door.send(pendings)
            await answered
            if any(isinstance(pending.command, SEEN_BY_READS) for pending in pendings):
                self._reader.forget()
                self._principals.clear()
        return merge(outcomes, pendings)

    def _prepare(self, commands: Sequence[Command]) -> Prepared | Refused:
        """Return commands with what those on periods are given; a refusal where the database does not answer."""
        try:
            return prepare(self.url, commands, self.read_basis)
        except DATABASE_AWAY:
            return Refused(Refusal.UNAVAILABLE, "the database does not answer; nothing was recorded")

    def _put(self, pendings: list[Pending], group: Group) -> bool:
        """Queue commands and return whether there is anything to wait for; what finds no room is answered."""
        try:
            return bool(self._queue.put(pendings, group.hold))
        except Refused as refused:
            for pending in pendings:
                pending.outcome = Outcome(refused=refused)
            return False

    def issue_key(self, command: IssueApiKey, actor: str) -> IssuedKey:
        """Issue a key: make its secret, record the hash, and return the token this once."""
        secret, hashed = self._with_secret(command)
        return issued(hashed, secret, self.execute(hashed, actor))

    async def issue_key_async(self, command: IssueApiKey, actor: str) -> IssuedKey:
        """The same from an event loop."""
        secret, hashed = self._with_secret(command)
        return issued(hashed, secret, await self.execute_async(hashed, actor))

    def _with_secret(self, command: IssueApiKey) -> tuple[str, IssueApiKey]:
        secret = "".join(secrets.choice(SECRET_ALPHABET) for _ in range(SECRET_LENGTH))
        hashed = hash_secret(self._hash_key, command.workspace_id, command.api_key_id, secret)
        return secret, msgspec.structs.replace(command, secret_hash=hashed)

    async def authenticate(self, token: str) -> Principal | None:
        """Return who a token belongs to; None when it is no token, unknown, wrong or revoked."""
        known = self._principals.get(token)
        if known is not None and monotonic() - known[0] < FRESH_SECONDS:
            return known[1]
        parts = split_token(token)
        if parts is None:
            return None
        workspace_id, api_key_id, secret = parts
        key = await self._reader.read_key(workspace_id, api_key_id)
        if key is None or key.revoked:
            return None
        if not is_same_hash(key.secret_hash, hash_secret(self._hash_key, workspace_id, api_key_id, secret)):
            return None
        principal = Principal(workspace_id, api_key_id, frozenset(key.scopes), key.project_id)
        if len(self._principals) >= PRINCIPALS_MAX:
            self._principals.clear()
        self._principals[token] = (monotonic(), principal)
        return principal

    def read_catalog(self) -> Catalog:
        """Return the catalog as it is now, over a connection of its own. Blocks the calling thread."""
        with connect_writer(self.url) as connection:
            return read_catalog(connection, Catalog())

    async def catalog(self) -> Catalog:
        """Return the catalog as it was at most a second ago."""
        return await self._reader.read_catalog()

    async def workspace(self, workspace_id: str) -> WorkspaceState | None:
        """Return a workspace's projects and keys as they were at most a second ago."""
        return await self._reader.read_workspace(workspace_id)

    async def period_events(self, workspace_id: str) -> list[Recorded]:
        """Return what closed and reopened the periods of a book, in order."""
        return await self._reader.read_period_events(workspace_id)

    async def live_wallets(self, workspace_id: str) -> LiveWallets | None:
        """Return a workspace's wallets as they are now; None for a workspace that does not exist."""
        found = await self._reader.read_wallets(workspace_id)
        return None if found is None else LiveWallets(workspace_id, *found)

    def hash_end_user(self, workspace_id: str, end_user: str) -> str:
        """Return what stands for an end user in a book: a keyed hash of 64 hex characters."""
        return hash_user(self._hash_key, workspace_id, end_user)

    async def display_names(self, workspace_id: str) -> list[DisplayName]:
        """Return what people call a workspace, its projects and keys."""
        rows = await self._reader.fetch("read_display_names", workspace_id=workspace_id)
        return [DisplayName(*row) for row in rows]

    async def set_display_name(self, workspace_id: str, kind: str, name: str, display_name: str | None) -> None:
        """Name a `workspace`, `project` or `api_key` for people, or erase its name with None."""
        if display_name is None:
            await self._reader.fetch("erase_display_name", workspace_id=workspace_id, kind=kind, name=name)
            return
        check_text(display_name, "display_name", 200)
        await self._reader.fetch(
            "put_display_name", workspace_id=workspace_id, kind=kind, name=name, display_name=display_name
        )

    async def identify(self, token: str) -> Caller | None:
        """Return whose key a token is and what it may do; None for one that `authenticate` does not know."""
        principal = await self.authenticate(token)
        if principal is None:
            return None
        state = await self.workspace(principal.workspace_id)
        key = None if state is None else state.api_keys.get(principal.api_key_id)
        if state is None or key is None or key.revoked:
            return None
        projects = tuple(state.projects) if key.project_id is None else (key.project_id,)
        return Caller(
            principal.workspace_id, principal.api_key_id, principal.scopes, key.project_id, projects, key.limits
        )

    async def count_refused_calls(self, counts: Sequence[RefusedCalls]) -> None:
        """Add to the calls that gateways refused. Not a command: what is sent twice counts twice."""
        check_refused_calls(counts)
        await operating.count_refused_calls(self._reader, counts, (await self.catalog()).models.keys())

    async def refused_calls(
        self, workspace_id: str | None, begin: int, end: int, cursor: str | None = None
    ) -> RefusedCallsPage:
        """Return refused calls of a workspace, or of all, in the hours from `begin` until before `end`."""
        after = BEGINNING if cursor is None else read_cursor(cursor)
        rows = await operating.read_refused_calls(self._reader, workspace_id, begin, end, after, REFUSED_CALLS_MAX + 1)
        if len(rows) <= REFUSED_CALLS_MAX:
            return RefusedCallsPage(tuple(rows), has_more=False)
        shown = tuple(rows[:REFUSED_CALLS_MAX])
        return RefusedCallsPage(shown, has_more=True, next_cursor=cursor_after(shown[-1]))

    async def health(self) -> Health:
        """Return what gateways reported last of routes and providers."""
        return await operating.read_health(self._reader)

    async def report_health(self, health: Health) -> None:
        """Replace what is known of some routes and providers."""
        check_health(health)
        await operating.report_health(self._reader, health)

    async def pin_response(self, pinned: PinnedResponse) -> None:
        """Keep for thirty days which route a stored response is on."""
        check_pinned_response(pinned)
        await operating.pin_response(self._reader, pinned)

    async def pinned_response(self, workspace_id: str, response_id: str) -> PinnedResponse | None:
        """Return which route a stored response is on; None when that is not known."""
        if not WORKSPACE_PATTERN.match(workspace_id) or not RESPONSE_PATTERN.match(response_id):
            return None
        return await operating.read_pinned_response(self._reader, workspace_id, response_id)

    async def ping(self) -> None:
        """Raise Refused(UNAVAILABLE) when the database does not answer within seconds."""
        await self._reader.ping()


def issued(command: IssueApiKey, secret: str, outcome: Outcome) -> IssuedKey:
    """Return the token with the outcome, unless the key was refused or issued before with another secret."""
    if outcome.recorded is None:
        return IssuedKey(outcome, None)
    # Not by `repeated`: a commit that went through unseen is found again by the same call.
    event = outcome.recorded.fact.event
    is_ours = isinstance(event, ApiKeyIssued) and event.secret_hash == command.secret_hash
    token = make_token(command.workspace_id, command.api_key_id, secret) if is_ours else None
    return IssuedKey(outcome, token)
