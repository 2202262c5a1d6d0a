"""The `eventsourcing` library's mapper for facts: topics are the events' stable tags, states their stored bytes.

Neither `@event` nor the library's event and aggregate classes are used. Its own mapper reads `vars(event)`, which
a struct does not have, and stores the names of Python classes, on which no book may depend.
"""

from typing import Any, cast

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent, Transcoder

from ledger.events import TAGS, Fact, decode_fact, encode_fact


class StreamFact(msgspec.Struct, frozen=True):
    """A fact with its place in a stream, under the names that the library asks for.

    `state` is the fact's bytes: encoded once, and for ever those that were read.
    """

    originator_id: str
    originator_version: int
    fact: Fact
    state: bytes


def place_fact(stream: str, version: int, fact: Fact) -> StreamFact:
    """Return a new fact, encoded, at a version of a stream."""
    return StreamFact(stream, version, fact, encode_fact(fact))


class FactTranscoder(Transcoder):
    """Facts to bytes and back, as everywhere in the ledger."""

    def encode(self, obj: Any) -> bytes:
        """Return the bytes of a fact."""
        return encode_fact(obj)

    def decode(self, data: bytes) -> Fact:
        """Return the fact that bytes hold. Raises msgspec.MsgspecError for bytes that are no fact."""
        return decode_fact(data)


class FactMapper(Mapper[str]):
    """Converts between facts in their streams and the library's stored events. Bytes stay what they are."""

    def __init__(self) -> None:
        super().__init__(FactTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Return a fact in its stream as the library stores it. Raises TypeError for anything else."""
        event = cast(object, domain_event)
        if not isinstance(event, StreamFact):
            raise TypeError(f"{type(event).__name__} is no StreamFact")
        tag = TAGS[type(event.fact.event)]
        return StoredEvent(event.originator_id, event.originator_version, tag, event.state)

    def to_domain_event(self, stored_event: StoredEvent) -> StreamFact:
        """Return a stored event as a fact in its stream.

        Raises MapperDeserialisationError for bytes that are no fact, or not one of this topic.
        """
        stream, version = str(stored_event.originator_id), stored_event.originator_version
        try:
            fact = decode_fact(stored_event.state)
        except msgspec.MsgspecError as error:
            raise MapperDeserialisationError(f"{stream} version {version} is no fact: {error}") from error
        tag = TAGS[type(fact.event)]
        if tag != stored_event.topic:
            raise MapperDeserialisationError(f"{stream} version {version} is {tag}, not {stored_event.topic}")
        return StreamFact(stream, version, fact, stored_event.state)
