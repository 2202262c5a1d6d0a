"""What can happen to the catalog. Stored for ever: fields are only ever added, with a default.

Publishing a name again replaces what it says, except for rate cards and buckets, which are never edited.
"""

import msgspec

from ledger.pricing.rate_cards import RateCard


class CatalogEvent(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="tag"):
    """Base of all events in the catalog's stream."""


class BucketDefined(CatalogEvent, frozen=True, tag="bucket_defined.v1"):
    """A kind of balance with exactly one unit and scale, for ever."""

    bucket: str
    unit: str
    scale: int
    symbol: str = ""


class ProviderPublished(CatalogEvent, frozen=True, tag="provider_published.v1"):
    """Who is called, in which dialect, and the unit and scale in which it bills us. No secret is here."""

    provider: str
    dialect: str
    api_base: str
    cost_unit: str
    cost_scale: int


class RoutePublished(CatalogEvent, frozen=True, tag="route_published.v1"):
    """A provider's model, settled in one bucket, in one tier, priced by the ledger or by the caller."""

    route: str
    provider: str
    upstream_model: str
    bucket: str
    tier: str
    priced_by: str = "ledger"
    depth: str | None = None
    default_output_limit: int | None = None
    context_tokens: int | None = None


class ModelPublished(CatalogEvent, frozen=True, tag="model_published.v1"):
    """The alias that a client sends, resolved to an ordered list of routes."""

    model: str
    targets: tuple[str, ...]
    num_retries: int = 0
    timeout_seconds: int = 600
    allow_bucket_change: bool = False
    allow_model_change: bool = False


class RateCardPublished(CatalogEvent, frozen=True, tag="rate_card_published.v1"):
    """A dated version of a route's prices. Succeeded by a later one, never edited."""

    card: RateCard


class RouteSuspended(CatalogEvent, frozen=True, tag="route_suspended.v1"):
    """Nothing new is routed here until it is resumed."""

    route: str


class RouteResumed(CatalogEvent, frozen=True, tag="route_resumed.v1"):
    """The route takes requests again."""

    route: str


class ConfigApplied(CatalogEvent, frozen=True, tag="config_applied.v1"):
    """A configuration file was applied: its digest, and how many changes it made."""

    digest: str
    changes: int
