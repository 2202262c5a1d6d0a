"""The settled requests of a route and a period as they are read: in the order of time, book by book, by keyset."""

from collections import defaultdict

import msgspec

from ledger.events import REQUEST_STREAM, Fact, decode_fact
from projections.reading import JournalReader
from projections.rerating.asking import RerateQuestion
from projections.rerating.judging import SettledRequest

__all__ = ["BEFORE_ALL", "WALKED_MAX", "LastRated", "RatedFound", "RerateReader"]

WALKED_MAX = 20_000
"""How many rows one statement looks at: some hundredths of a second."""

WALKS_MAX = 10
"""So many statements make a page at most: what is rare is found over several pages, and none takes long."""

BEFORE_ALL = -(2**63)


class LastRated(msgspec.Struct, frozen=True, array_like=True):
    """The request at which a page ended: the next one goes on behind it. A book begins before all its requests."""

    workspace_id: str
    began_at: int = BEFORE_ALL
    request_id: str = ""


class RatedFound(msgspec.Struct, frozen=True):
    """The requests of a page, and behind which place the next one begins; None at the end."""

    requests: list[SettledRequest]
    last: LastRated | None


class RerateReader:
    """Reads of the active generation and of the books. Methods raise Refused(UNAVAILABLE) without a database."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader

    async def page(self, question: RerateQuestion, after: LastRated | None, limit: int) -> RatedFound:
        """Return at most `limit` requests behind a place, with all their events."""
        found: list[SettledRequest] = []
        last = after if after is not None else await self._begin(question)
        for _ in range(WALKS_MAX):
            if last is None or len(found) == limit:
                break
            requests, following = await self._walk(question, last, limit - len(found))
            found += requests
            if following is None and question.workspace_id is None:
                following = await self._next_book(question, last.workspace_id)
            last = following
        return RatedFound(found, last)

    async def _begin(self, question: RerateQuestion) -> LastRated | None:
        """Return where the first page begins; None where no book has such requests."""
        if question.workspace_id is not None:
            return LastRated(question.workspace_id)
        return await self._next_book(question, "")

    async def _next_book(self, question: RerateQuestion, after: str) -> LastRated | None:
        """Return where the next book begins that has such requests, None when there is none."""
        rows = await self._reader.fetch(
            "find_next_rerated_book", after=after, route=question.card.route, begin=question.begin, end=question.end
        )
        return LastRated(rows[0][0]) if rows else None

    async def _walk(
        self, question: RerateQuestion, last: LastRated, limit: int
    ) -> tuple[list[SettledRequest], LastRated | None]:
        """Return the next requests of one book, and where its walk goes on; None at the end of the book."""
        rows = await self._reader.fetch(
            "read_settled_requests",
            workspace_id=last.workspace_id,
            route=question.card.route,
            begin=question.begin,
            end=question.end,
            last_began_at=last.began_at,
            last_request_id=last.request_id,
            walked_max=WALKED_MAX,
            limit=limit + 1,
        )
        wanted = [row for row in rows if row[3]]
        is_more = len(wanted) > limit
        wanted = wanted[:limit]
        facts = await self._facts(last.workspace_id, [row[0] for row in wanted])
        found = [SettledRequest(last.workspace_id, row[0], row[2], facts[row[0]]) for row in wanted]
        end = wanted[-1] if is_more else rows[-1] if rows and rows[-1][4] == WALKED_MAX else None
        return found, None if end is None else LastRated(last.workspace_id, end[1], end[0])

    async def _facts(self, workspace_id: str, request_ids: list[str]) -> dict[str, list[Fact]]:
        """Return the events of some requests."""
        facts: defaultdict[str, list[Fact]] = defaultdict(list)
        if request_ids:
            streams = [REQUEST_STREAM + request_id for request_id in request_ids]
            rows = await self._reader.fetch("read_streams", workspace_id=workspace_id, streams=streams)
            for stream, state in rows:
                facts[stream[len(REQUEST_STREAM) :]].append(decode_fact(state))
        return facts
