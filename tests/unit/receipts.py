"""What the tests of receipts share: a request's events out of a world, and walks through what was made of them."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from ledger.core.identifiers import PLATFORM
from ledger.events import REQUEST_STREAM, TAGS, Recorded, encode_fact
from projections.receipt.answers import CustomerReceipt, PlatformFacts, Receipt
from projections.receipt.folding import receipt_of
from tests.unit.story import ACME
from tests.unit.world import World


def recorded_of(world: World, request_id: str = "r1") -> list[Recorded]:
    """Return the events of a request in order, as a store would have them."""
    stream = REQUEST_STREAM + request_id
    own = [(command_id, each) for (_, command_id), each in world.recorded.items() if each.stream == stream]
    return [
        Recorded(
            ACME, each.position, stream, version, TAGS[type(each.fact.event)], command_id, world.now,
            encode_fact(each.fact), hashlib.sha256(command_id.encode()).digest(),
        )
        for version, (command_id, each) in enumerate(own, start=1)
    ]  # fmt: skip


def receipt_in(world: World, request_id: str = "r1") -> Receipt:
    """Return the receipt of a request in a world."""
    return receipt_of(request_id, recorded_of(world, request_id), world.books[PLATFORM].catalog)


def platform_of(receipt: Receipt) -> PlatformFacts:
    """Return what only the platform sees."""
    return receipt.platform


def json_of(receipt: CustomerReceipt) -> Any:
    """Return a receipt as a reader of its JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(receipt))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a JSON value."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def is_amount(value: Any) -> bool:
    """Return whether a JSON value is an amount."""
    return isinstance(value, dict) and value.keys() == {"value", "unit"}


def minor(amount: Any) -> int:
    """Return an amount in smallest parts."""
    value = amount["value"] if isinstance(amount, dict) else amount.value
    return int(value.replace(".", ""))


def keys_and_texts(value: Any) -> Iterator[str]:
    """Yield every key and every text of a JSON value."""
    for each in objects(value):
        yield from each
        for inner in each.values():
            found = inner if isinstance(inner, list) else [inner]
            yield from (text for text in found if isinstance(text, str))
