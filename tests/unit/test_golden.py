"""Stored bytes are decoded for ever: one golden file per event type, the chain's vectors, the schemas."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.events import EVENT_TYPES, TAGS, Fact, Recorded, decode_fact, encode_fact
from ledger.store.chain import leaf_digest, next_digest, start_digest
from tests.unit.golden_facts import FACTS

GOLDEN = Path(__file__).parents[1] / "golden"
DIGESTS = GOLDEN / "digests.json"
ENVELOPE = {"actor", "effective_at", "catalog_position", "event", "trace_id", "reason"}
"""What every golden file has beside the fields that the envelope got later."""

NEVER = "is a stored event's bytes and must be readable for ever: never edit it, add a new version of the event"


def digests() -> dict[str, str]:
    """Return the digest that each golden file had when it was added."""
    read: dict[str, str] = json.loads(DIGESTS.read_text())
    return read


def schemas() -> dict[str, Any]:
    """Return the JSON Schema of a fact with all events, as msgspec exports it."""
    _, components = msgspec.json.schema_components([Fact], ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": "#/$defs/Fact", "$defs": components}


def test_every_event_type_has_its_golden_file() -> None:
    """A new event type is not finished before its bytes are kept under tests/golden/events."""
    kept = {path.stem for path in (GOLDEN / "events").glob("*.json")}
    assert set(TAGS.values()) == set(map(tag_of, FACTS)), "write the new event into tests/unit/golden_facts.py"
    assert set(FACTS) <= kept, "keep encode_fact(FACTS[name]) as tests/golden/events/<name>.json"
    assert {f"events/{name}.json" for name in kept} == set(digests()) - {"chain.json"}


def tag_of(name: str) -> str:
    """Return the tag of a golden file: a later set of fields has its number behind it."""
    return ".".join(name.split(".")[:2])


@pytest.mark.parametrize("name", sorted(FACTS))
def test_golden_bytes_are_read_and_written_as_ever(name: str) -> None:
    """The golden file is decoded to the fact that was meant, which is encoded to the same bytes."""
    state = (GOLDEN / "events" / f"{name}.json").read_bytes()
    assert decode_fact(state) == FACTS[name]
    assert encode_fact(FACTS[name]) == state


@pytest.mark.parametrize("tag", sorted(TAGS.values()))
def test_golden_files_fill_every_field(tag: str) -> None:
    """No field of the event or its envelope is left at its default in all files, so none can be renamed unseen."""
    names = [name for name in FACTS if tag_of(name) == tag]
    kept = [json.loads((GOLDEN / "events" / f"{name}.json").read_bytes()) for name in names]
    assert all(set(each) >= ENVELOPE for each in kept)
    filled = {field for each in kept for field in each["event"]}
    assert filled == {"tag", *type(FACTS[tag].event).__struct_fields__}


@pytest.mark.parametrize("name", sorted(digests()))
def test_golden_files_are_never_edited(name: str) -> None:
    """A golden file keeps the digest that it was added with, even when its event type is gone."""
    assert sha256((GOLDEN / name).read_bytes()).hexdigest() == digests()[name], f"{name} {NEVER}"


def test_golden_files_fill_the_whole_envelope() -> None:
    """Every field of the envelope is in some file, those that were added later too."""
    kept = [set(json.loads((GOLDEN / "events" / f"{name}.json").read_bytes())) for name in FACTS]
    assert set().union(*kept) == set(Fact.__struct_fields__)


def test_a_field_that_a_newer_version_added_is_ignored() -> None:
    """Bytes with a field that this version doesn't know are still decoded."""
    state = encode_fact(FACTS["wallet_frozen.v1"]).replace(b'"bucket":', b'"colour":"red","bucket":')
    assert decode_fact(state) == FACTS["wallet_frozen.v1"]


def test_an_unknown_tag_is_not_decoded() -> None:
    """Bytes of an event type that this version doesn't know are an error, not another event."""
    state = encode_fact(FACTS["wallet_frozen.v1"]).replace(b"wallet_frozen.v1", b"wallet_frozen.v9")
    with pytest.raises(msgspec.ValidationError):
        decode_fact(state)


def test_a_recorded_event_decodes_its_own_bytes() -> None:
    """What is read from a book gives its fact."""
    fact = FACTS["wallet_frozen.v1"]
    recorded = Recorded("acme", 1, "wallet/credit", 1, "wallet_frozen.v1", "x", 1, encode_fact(fact), b"")
    assert recorded.fact == fact


def digest_of(vector: dict[str, Any], workspace_id: str, previous: bytes) -> tuple[bytes, bytes]:
    """Return leaf and digest of a published event, by the words of the chain's documentation alone."""

    def fields(*texts: str | int | bytes) -> bytes:
        raw = [text if isinstance(text, bytes) else str(text).encode() for text in texts]
        return b"".join(len(each).to_bytes(4, "big") + each for each in raw)

    names = ("position", "stream", "version", "tag", "command_id", "recorded_at")
    content = [vector[name] for name in names]
    state = vector["state"].encode()
    leaf = sha256(b"\x00" + fields("route-ledger.chain.v1", workspace_id, *content, state)).digest()
    if not previous:
        previous = sha256(b"\x03" + fields("route-ledger.chain.v1", workspace_id)).digest()
    return leaf, sha256(b"\x02" + previous + leaf).digest()


def test_the_chains_published_vectors_hold() -> None:
    """Every published leaf and digest follows from the event's fields, here and in the program."""
    published = json.loads((GOLDEN / "chain.json").read_bytes())
    for book in published["books"]:
        name = book["workspace_id"]
        assert start_digest(name).hex() == book["start"]
        previous, other = b"", start_digest(name)
        for vector in book["events"]:
            leaf, previous = digest_of(vector, name, previous)
            assert (leaf.hex(), previous.hex()) == (vector["leaf"], vector["digest"])
            fields = {key: vector[key] for key in vector if key not in ("leaf", "digest", "state")}
            assert leaf_digest(name, **fields, state=vector["state"].encode()) == leaf
            other = next_digest(other, leaf)
            assert other == previous
    assert sum(len(book["events"]) for book in published["books"]) >= 4


CHANGES: dict[str, Any] = {
    "workspace_id": "acmf", "position": 2, "stream": "wallet/rmb", "version": 2, "tag": "x.v2",
    "command_id": "@wallet/rmb", "recorded_at": 6, "state": b"{} ",
}  # fmt: skip


def test_every_field_of_an_event_is_bound() -> None:
    """Changing any one field changes the leaf, and moving a byte between two fields does too."""
    event: dict[str, Any] = {
        "workspace_id": "acme", "position": 1, "stream": "wallet/credit", "version": 1, "tag": "x.v1",
        "command_id": "@wallet/credit", "recorded_at": 5, "state": b"{}",
    }  # fmt: skip
    leaves = {leaf_digest(**event), *(leaf_digest(**{**event, name: value}) for name, value in CHANGES.items())}
    assert len(leaves) == 1 + len(event)
    moved = {**event, "workspace_id": "acm", "stream": "ewallet/credit"}
    assert leaf_digest(**moved) not in leaves
    assert len({start_digest("acme"), start_digest("acm"), leaf_digest(**event)}) == 3


def test_exported_schemas_are_the_events() -> None:
    """The committed JSON Schema is what the program exports: a drift is a new version, or a new file here."""
    assert json.loads((GOLDEN / "event_schemas.json").read_text()) == json.loads(json.dumps(schemas()))
    assert len(schemas()["$defs"]) > len(EVENT_TYPES)
