"""`GET /ledger/v1/actions`: who did what, the newest first, as JSON pages or CSV and JSON lines. For the platform."""

import asyncio
from collections.abc import Mapping
from hashlib import blake2b

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires, workspace_unknown
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.parameters import moment
from ledger.api.responses import ReadyResponse, get_handler
from ledger.catalog.state import Catalog
from ledger.core.identifiers import API_KEY_PATTERN, PLATFORM, WORKSPACE_PATTERN
from ledger.operating import MOMENT_MAX
from projections.actions.answers import Action
from projections.actions.reading import ActionFilters, ActionsFound, LastAction, read_actions
from projections.actions.showing import ActionRow, action_of, tags_named
from projections.actions.tables import actions_header, actions_rows
from projections.api.catalogs import with_catalog
from projections.api.formats import Format, format_of
from projections.api.parameters import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    POSITION_MAX,
    cursor_of,
    decoded_cursor,
    invalid,
    query_of,
    whole_number,
)
from projections.api.requests import EXPORT_MAX, EXPORT_STEPS_MAX, answered, is_for_excel
from projections.api.sight import require_platform_key
from projections.reading import JournalReader

__all__ = ["create_actions_handler"]

PARAMETERS = frozenset({"workspace_id", "actor", "tag", "from", "to", "cursor", "limit", "format", "safe"})
EXPORT_STEP = 500
"""So many actions are made ready at a time; in between, other answers get their turn."""


class ActionPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: in which listing, and at which action."""

    listing: str
    last: LastAction


_place_decoder = msgspec.json.Decoder(ActionPlace)


class ActionReads:
    """The listing, for one ledger."""

    def __init__(self, context: ApiContext, reader: JournalReader) -> None:
        self.context = context
        self.reader = reader

    async def read_actions(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a page of actions, or an export of many."""
        require_platform_key(scope["user"], "what was done in the books is for the platform to read")
        query = query_of(scope, PARAMETERS)
        shape = format_of(scope, query)
        is_page = shape is Format.JSON
        limit = whole_number(
            query, "limit", LIMIT_DEFAULT if is_page else EXPORT_MAX, 1, LIMIT_MAX if is_page else EXPORT_MAX
        )
        for_excel = is_for_excel(query, shape)
        filters = filters_of(query)
        listing = blake2b(msgspec.json.encode(filters), digest_size=8).hexdigest()
        last = place_of(query, listing)
        names = await self._names()
        parts: list[bytes] = []
        for _ in range(1 if is_page else EXPORT_STEPS_MAX):
            found = await read_actions(self.reader, filters, last, min(limit, EXPORT_STEP))
            await self._require_known(filters, found)
            parts.append(await self._shown(found.rows, names, shape, for_excel=for_excel))
            limit -= len(found.rows)
            last = found.last
            if last is None or not limit:
                break
            await asyncio.sleep(0)
        cursor = None if last is None else cursor_of(ActionPlace(listing, last))
        return answered(scope, query, shape, cursor, body_of(parts, shape, cursor))

    async def _names(self) -> dict[str, str]:
        """Return what people call the platform's keys, which are those that act."""
        rows = await self.context.ledger.display_names(PLATFORM)
        return {row.name: row.display_name for row in rows if row.kind == "api_key"}

    async def _shown(self, rows: list[ActionRow], names: Mapping[str, str], shape: Format, *, for_excel: bool) -> bytes:
        """Return rows in their format; of a JSON page, the list."""

        def shown(catalog: Catalog) -> list[Action]:
            return [action_of(row, catalog, names) for row in rows]

        actions = await with_catalog(self.context, shown)
        match shape:
            case Format.CSV:
                return actions_rows(actions, for_excel=for_excel).encode()
            case Format.JSONL:
                return b"".join(encode(action) + b"\n" for action in actions)
        return encode(actions)

    async def _require_known(self, filters: ActionFilters, found: ActionsFound) -> None:
        """Refuse a workspace that does not exist: every one that does has at least been opened."""
        workspace_id = filters.workspace_id
        if workspace_id is not None and not found.rows and await self.context.ledger.workspace(workspace_id) is None:
            raise workspace_unknown()


def create_actions_handler(context: ApiContext, reader: JournalReader) -> HTTPRouteHandler:
    """Return the handler of the listing."""
    return get_handler("/actions", ActionReads(context, reader).read_actions, requires("read", "audit", "admin"))


def filters_of(query: Mapping[str, str]) -> ActionFilters:
    """Return what a query asks for, else refuse and name the parameter."""
    workspace_id, actor, tag = (query.get(name) for name in ("workspace_id", "actor", "tag"))
    if workspace_id is not None and not WORKSPACE_PATTERN.match(workspace_id):
        raise workspace_unknown()
    if actor is not None and not API_KEY_PATTERN.match(actor):
        raise invalid("actor", "it is a key's id, or system")
    tags = None if tag is None else tuple(tags_named(tag))
    if tags == ():
        raise invalid("tag", "no action is recorded under it: it is one such as api_key_revoked")
    return ActionFilters(
        workspace_id=workspace_id, actor=actor, tags=tags, begin=moment(query, "from", 0),
        end=moment(query, "to", MOMENT_MAX),
    )  # fmt: skip


def place_of(query: Mapping[str, str], listing: str) -> LastAction | None:
    """Return where the page before ended. A cursor of another listing is refused."""
    place = decoded_cursor(query, _place_decoder)
    if place is None:
        return None
    last = place.last
    is_place = 0 <= last.position <= POSITION_MAX and abs(last.recorded_at) <= POSITION_MAX
    if place.listing != listing or not is_place or not WORKSPACE_PATTERN.match(last.workspace_id):
        raise invalid("cursor", "it belongs to another listing")
    return last


def body_of(parts: list[bytes], shape: Format, cursor: str | None) -> bytes:
    """Return an answer in its format, put together from its parts."""
    match shape:
        case Format.CSV:
            return actions_header().encode() + b"".join(parts)
        case Format.JSONL:
            return b"".join(parts)
    data = msgspec.Raw(parts[0])
    return encode({"data": data, "next_cursor": cursor, "has_more": cursor is not None})
