"""What a recorded command is answered with: where the event stands, the event itself, and its money in decimal text.

The event is sliced from the bytes that were stored and hashed. Amounts inside it are integers that end in `_minor`,
of the event's own unit; `money` states the same amounts for people. No framework is imported.
"""

from functools import lru_cache
from time import gmtime, strftime
from typing import Any

import msgspec

from ledger.core.amounts import StatedAmount, Unit, state_amount
from ledger.events import EVENT_TYPES, Recorded


class Balance(msgspec.Struct, frozen=True):
    """One wallet: available = posted − held + credit limit, all in the bucket's own unit."""

    bucket: str
    posted: StatedAmount
    held: StatedAmount
    available: StatedAmount
    credit_limit: StatedAmount
    frozen: bool
    position: int


class Balances(msgspec.Struct, frozen=True):
    """A workspace's wallets at one position of its book. Buckets are never added to each other."""

    workspace_id: str
    position: int
    wallets: list[Balance]


class CommandAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One recorded event. `repeated` when the same command was recorded before: it counts once.

    `available` is what a new hold has left of its wallet; absent in the answer to everything else, repeats included.
    """

    workspace_id: str
    position: int
    command_id: str
    tag: str
    recorded_at: str
    repeated: bool
    event: msgspec.Raw
    money: dict[str, StatedAmount]
    available: StatedAmount | None = None


class KeyAnswer(CommandAnswer, frozen=True, kw_only=True):
    """An issued key. `token` is shown here and never again; null in the answer to a repeat."""

    token: str | None


class _Stored(msgspec.Struct, frozen=True):
    event: msgspec.Raw


_stored_decoder = msgspec.json.Decoder(_Stored)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()

UNIT_FIELDS = {"from": "from_unit", "to": "to_unit"}
UNIT_FIELDS_OF_FALLBACK = {"released": "from_unit", "hold": "to_unit"}


def money_fields(event_type: type[msgspec.Struct]) -> tuple[tuple[str, str, str], ...]:
    """Return (name, field of the amount, field of its unit) for each amount that an event states itself."""
    known = event_type.__struct_fields__
    special = UNIT_FIELDS_OF_FALLBACK if "to_unit" in known and "hold_minor" in known else UNIT_FIELDS
    return tuple(
        (name, field, special.get(name, "unit"))
        for field in known
        if field.endswith("_minor") and (name := field.removesuffix("_minor")) and special.get(name, "unit") in known
    )


def money_reader(event_type: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    """Return a decoder that reads only the amounts and units of one kind of event."""
    fields = {name for triple in money_fields(event_type) for name in triple[1:]}
    kinds = [(name, int | None if name.endswith("_minor") else str, None) for name in sorted(fields)]
    return msgspec.json.Decoder(msgspec.defstruct("Money", kinds))


MONEY: dict[str, tuple[msgspec.json.Decoder[Any], tuple[tuple[str, str, str], ...]]] = {
    str(kind.__struct_config__.tag): (money_reader(kind), money_fields(kind))
    for kind in EVENT_TYPES
    if money_fields(kind)
}
"""By tag, how to read an event's amounts without the rest of it."""


def has_money(tag: str) -> bool:
    """Return whether events with this tag state amounts."""
    return tag in MONEY


def read_money(tag: str, event: msgspec.Raw) -> tuple[Any, set[str]]:
    """Return an event's amounts and the units they are in."""
    reader, fields = MONEY[tag]
    money = reader.decode(event)
    return money, {getattr(money, unit) for _, _, unit in fields}


def state_money(tag: str, money: Any, units: dict[str, Unit]) -> dict[str, StatedAmount]:
    """Return an event's amounts in decimal text by their names."""
    stated = {}
    for name, field, unit in MONEY[tag][1]:
        minor = getattr(money, field)
        if minor is not None:
            stated[name] = state_amount(minor, units[getattr(money, unit)])
    return stated


def event_of(recorded: Recorded) -> msgspec.Raw:
    """Return the stored event as it was written, without the envelope around it."""
    return _stored_decoder.decode(recorded.state).event


def key_answer(answer: CommandAnswer, token: str | None) -> KeyAnswer:
    """Return the answer to an issued key: with its token, without the hash of its secret."""
    event = _fields_decoder.decode(answer.event)
    event.pop("secret_hash", None)
    fields = {name: getattr(answer, name) for name in answer.__struct_fields__}
    return KeyAnswer(**fields | {"event": msgspec.Raw(_encoder.encode(event)), "token": token})


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))


def instant(microseconds: int) -> str:
    """Return an instant in RFC 3339, in UTC with all six digits: `2026-11-21T10:00:00.000001Z`."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{fraction:06d}Z"


def encode(answer: Any) -> bytes:
    """Return the JSON bytes of an answer."""
    return _encoder.encode(answer)
