"""A recorded event → the action that is read. Pure. No secret leaves here, not even hashed."""

from collections.abc import Mapping

import msgspec

from ledger.api.answers import instant
from ledger.catalog.state import Catalog
from ledger.events import TAGS, decode_fact, request_of
from projections.actions.answers import Action
from projections.actions.words import action_text
from projections.receipt.folding import CatalogBehind

__all__ = ["ACTION_TAGS", "GATEWAY_TAGS", "ActionRow", "action_of", "tags_named"]

GATEWAY_TAGS = frozenset(
    {
        "request_routed.v1", "hold_extended.v1", "attempt_failed.v1", "fallback_taken.v1", "tokens_settled.v1",
        "request_released.v1", "request_voided.v1",
    }
)  # fmt: skip
"""What gateways write for each call: everything else is somebody's action."""

ACTION_TAGS = tuple(sorted(set(TAGS.values()) - GATEWAY_TAGS))
SECRETS = ("secret_hash",)


class ActionRow(msgspec.Struct, frozen=True):
    """An event as it was read."""

    workspace_id: str
    position: int
    stream: str
    tag: str
    command_id: str
    recorded_at: int
    state: bytes


class _Stored(msgspec.Struct, frozen=True):
    event: dict[str, msgspec.Raw]


_stored_decoder = msgspec.json.Decoder(_Stored)


def action_of(row: ActionRow, catalog: Catalog, names: Mapping[str, str]) -> Action:
    """Return an event as an action; `names` are what people call keys. Raises CatalogBehind for an older catalog."""
    fact = decode_fact(row.state)
    request_id = request_of(row.stream)
    try:
        text = action_text(fact.event, catalog.units, request_id)
    except KeyError as missing:
        raise CatalogBehind(*missing.args) from None
    event = _stored_decoder.decode(row.state).event
    for secret in SECRETS:
        event.pop(secret, None)
    return Action(
        workspace_id=row.workspace_id,
        position=row.position,
        recorded_at=instant(row.recorded_at),
        effective_at=instant(fact.effective_at),
        served_at=None if fact.served_at is None else instant(fact.served_at),
        actor=fact.actor,
        actor_name=names.get(fact.actor),
        tag=row.tag,
        text=text,
        reason=fact.reason,
        request_id=request_id,
        command_id=row.command_id,
        trace_id=fact.trace_id,
        event=msgspec.Raw(msgspec.json.encode(event)),
    )


def tags_named(text: str) -> list[str]:
    """Return the tags that a text names, with its version or in all of them; none where there is no such action."""
    return [tag for tag in ACTION_TAGS if text in (tag, tag.partition(".")[0])]
