"""All events as one tagged union, the envelope they are recorded in, and the bytes that are hashed.

`Fact` is what is encoded, hashed and stored: the event with who, when and why. `Recorded` adds where it
stands in its book. Stored bytes are decoded for ever and never encoded again: a new meaning is a new tag.
"""

import msgspec

from ledger.catalog import events as catalog
from ledger.request import events as request
from ledger.wallet import events as wallet
from ledger.workspace import events as workspace

RequestEvents = (
    request.RequestRouted
    | request.HoldExtended
    | request.AttemptFailed
    | request.FallbackTaken
    | request.TokensSettled
    | request.RequestReleased
    | request.RequestVoided
    | request.ChargeRefunded
    | request.ChargeCorrected
)
WalletEvents = (
    wallet.WalletOpened
    | wallet.CreditLimitChanged
    | wallet.WalletFrozen
    | wallet.WalletUnfrozen
    | wallet.FundsAdded
    | wallet.FundsGranted
    | wallet.FundsReversed
    | wallet.FundsWithdrawn
    | wallet.AdjustmentPosted
    | wallet.BucketExchanged
)
WorkspaceEvents = (
    workspace.WorkspaceCreated
    | workspace.ProjectCreated
    | workspace.ProjectLimitsChanged
    | workspace.ApiKeyIssued
    | workspace.ApiKeyLimitsChanged
    | workspace.ApiKeyRevoked
    | workspace.PeriodClosed
    | workspace.PeriodReopened
    | workspace.SigningKeyPublished
)
CatalogEvents = (
    catalog.BucketDefined
    | catalog.ProviderPublished
    | catalog.RoutePublished
    | catalog.ModelPublished
    | catalog.RateCardPublished
    | catalog.RouteSuspended
    | catalog.RouteResumed
    | catalog.ConfigApplied
)
Event = RequestEvents | WalletEvents | WorkspaceEvents | CatalogEvents


class Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event with who caused it, when it happened and what the deciding process knew.

    `actor` is a key's id or `system`; `effective_at` is in microseconds since 1970 (UTC); `catalog_position`
    is the platform book's position that the decision was made under. What happened in a period that was closed is
    effective from the first instant after it, and `served_at` keeps when it happened.
    """

    actor: str
    effective_at: int
    catalog_position: int
    event: Event
    trace_id: str | None = None
    reason: str | None = None
    served_at: int | None = None

    @property
    def happened_at(self) -> int:
        """When it really happened: another time than the effective one only where a closed period was in the way."""
        return self.effective_at if self.served_at is None else self.served_at


class Recorded(msgspec.Struct, frozen=True):
    """A fact in its place: `position` in the book, `version` in the stream, `digest` of the chain so far."""

    workspace_id: str
    position: int
    stream: str
    version: int
    tag: str
    command_id: str
    recorded_at: int
    state: bytes
    digest: bytes

    @property
    def fact(self) -> Fact:
        """The decoded fact."""
        return decode_fact(self.state)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Fact)

EVENT_TYPES: tuple[type[msgspec.Struct], ...] = Event.__args__
TAGS: dict[type[msgspec.Struct], str] = {kind: str(kind.__struct_config__.tag) for kind in EVENT_TYPES}
"""Every event type's stable tag. The Python name may change, the tag never."""

REQUEST_STREAM = "request/"
WALLET_STREAM = "wallet/"
WORKSPACE_STREAM = "workspace"
CATALOG_STREAM = "catalog"


def encode_fact(fact: Fact) -> bytes:
    """Return the bytes of a fact, to be hashed and stored."""
    return _encoder.encode(fact)


def decode_fact(state: bytes) -> Fact:
    """Return the fact that stored bytes hold. Raises msgspec.ValidationError for bytes that are no fact."""
    return _decoder.decode(state)


def request_of(stream: str) -> str | None:
    """Return the id of the request whose stream this is, or None for another stream."""
    return stream[len(REQUEST_STREAM) :] if stream.startswith(REQUEST_STREAM) else None
