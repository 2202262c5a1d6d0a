"""The last words on requests that could not be posted, on disk until the books have them.

One file holds the commands of one request in their order. It is removed only after each of them is on record; as
every command has an identity, a file that is posted twice counts once, and so nothing here has to happen exactly
once. Several processes may share a directory.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import Annotated
from urllib.parse import quote
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from gateway.books.durable_files import make_directory, remove_abandoned, turn, write_durably
from gateway.books.last_words import Answered, LastWord, Letter, RequestKey, post_in_order
from gateway.books.protocol import Books
from ledger.commands import KINDS
from ledger.core.refusals import Refused

log = logging.getLogger(__name__)

SUFFIX = ".json"
LETTERS_AT_ONCE = 200
TURN = ".turn"


class Delivered(Struct, frozen=True):
    """How many spooled requests are on record now, and how many of them had commands that were refused for good."""

    letters: int = 0
    rejected: int = 0


class Rejected(Struct, frozen=True):
    """A command that the books will not have, and why."""

    command: LastWord
    code: str
    detail: str


_decoder = msgspec.json.Decoder(Annotated[tuple[LastWord, ...], Meta(min_length=1)])


class Spool:
    """A directory of commands that wait, and beside them `rejected/` with those that were refused for good."""

    def __init__(self, directory: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.directory = directory
        self.rejected_directory = directory / "rejected"
        self._now = now
        self._last_number = 0
        self._lock = threading.Lock()
        make_directory(self.rejected_directory)
        remove_abandoned(directory)

    def put(self, request_id: str, commands: Sequence[LastWord]) -> None:
        """Return once the commands of a request are on disk. They keep the time at which this was. Raises OSError."""
        now = self._now()
        stamped = [
            command if command.effective_at is not None else replace(command, effective_at=now) for command in commands
        ]
        write_durably(self.directory / self._new_name(request_id), msgspec.json.encode(stamped))

    def reject(self, commands: Sequence[tuple[LastWord, Refused]], name: str | None = None) -> None:
        """Keep commands that were refused for good, for a person to look at. Raises OSError."""
        if name is None:
            name = self._new_name(commands[0][0].request_id)
        kept = [Rejected(command, refused.code, refused.detail) for command, refused in commands]
        write_durably(self.rejected_directory / name, msgspec.json.encode(kept))
        for command, refused in commands:
            log.error("%s was refused for good (%s) and is kept in %s", KINDS[type(command)], refused.code, name)

    def waiting(self) -> int:
        """Return how many files wait to be posted."""
        return len(self._names())

    def rejected(self) -> int:
        """Return how many files hold what was refused for good."""
        return sum(path.suffix == SUFFIX for path in self.rejected_directory.iterdir())

    async def post_all(self, books: Books) -> Delivered:
        """Post what waits, oldest first, for as long as some of it is taken. Raises OSError.

        Nothing is done while another process does it.
        """
        with turn(self.directory / TURN) as is_ours:
            return await self._post_all(books) if is_ours else Delivered()

    async def _post_all(self, books: Books) -> Delivered:
        names = await asyncio.to_thread(self._names)
        stopped: set[RequestKey] = set()
        letters_delivered = rejected = 0
        for start in range(0, len(names), LETTERS_AT_ONCE):
            letters = await asyncio.to_thread(self._read, names[start : start + LETTERS_AT_ONCE])
            letters = [letter for letter in letters if letter.request not in stopped]
            answered = await post_in_order(books, letters)
            await asyncio.to_thread(self._remove, answered)
            letters_delivered += len(answered)
            rejected += sum(bool(each.rejected) for each in answered)
            done = {each.letter.name for each in answered}
            stopped |= {letter.request for letter in letters if letter.name not in done}
            if letters and not answered:
                break
        return Delivered(letters_delivered, rejected)

    def _new_name(self, request_id: str) -> str:
        """Return a name that sorts behind all that this process gave before."""
        with self._lock:
            number = self._last_number = max(self._last_number + 1, time_ns())
        return f"{number:020d}-{quote(request_id, safe='')[:100]}-{uuid4().hex[:8]}{SUFFIX}"

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.suffix == SUFFIX and path.name[0] != ".")

    def _read(self, names: Sequence[str]) -> list[Letter]:
        """Return what the files hold. One that can't be read is put aside."""
        letters = []
        for name in names:
            path = self.directory / name
            try:
                letters.append(Letter(name, _decoder.decode(path.read_bytes())))
            except FileNotFoundError:
                continue
            except msgspec.MsgspecError as error:
                log.error("the spooled file %s can't be read and is kept in rejected/: %s", name, error)
                path.replace(self.rejected_directory / name)
        return letters

    def _remove(self, answered: Sequence[Answered]) -> None:
        """Remove files of which every command is on record, or refused for good and kept elsewhere."""
        for each in answered:
            if each.rejected:
                self.reject(each.rejected, each.letter.name)
            # Not synced: a file that a power cut brings back is posted again, and counts once.
            (self.directory / each.letter.name).unlink(missing_ok=True)
