"""A configuration file as a value: what it wants the catalog to be.

Where a provider's key is found (`api_key`) stays in this value, for the gateway that makes the calls; no command
is made of it.
"""

import msgspec

from ledger.catalog.commands import Dialect, PricedBy, Tier
from ledger.catalog.config.tables import Problem
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates

UNREADABLE_SCALE = -1
"""Stands in a bucket whose scale is a problem of its own, so that no other problem follows from it."""


class Bucket(msgspec.Struct, frozen=True):
    """A kind of balance."""

    name: str
    unit: str
    scale: int
    symbol: str = ""


class Provider(msgspec.Struct, frozen=True):
    """Who is called. `api_key` says where the key is found: `os.environ/NAME` or `file:/path`."""

    name: str
    dialect: Dialect
    api_base: str
    cost_unit: str
    cost_scale: int | None = None
    api_key: str | None = None


class Price(msgspec.Struct, frozen=True):
    """A route's rates in its bucket's unit per million tokens, where they come from, and what the provider bills us.

    `valid_from` in microseconds; without it a price holds from when it is applied. `cost_models` are in `cost_unit`.
    """

    models: tuple[ModelRates, ...]
    source: str
    rounding: Rounding = Rounding.HALF_EVEN
    valid_from: int | None = None
    source_unit: str | None = None
    units_per_source_unit: str | None = None
    factor: str | None = None
    snapshot_digest: str | None = None
    cost_unit: str | None = None
    cost_models: tuple[ModelRates, ...] = ()


class Route(msgspec.Struct, frozen=True):
    """A provider's model in one bucket. `prices` follow each other; there is none only where the caller prices."""

    name: str
    provider: str
    model: str
    bucket: str
    tier: Tier
    priced_by: PricedBy = "ledger"
    prices: tuple[Price, ...] = ()
    depth: str | None = None
    default_output_limit: int | None = None
    context_tokens: int | None = None


class Model(msgspec.Struct, frozen=True):
    """The alias that a client sends, with its routes in order."""

    model_name: str
    targets: tuple[str, ...]
    num_retries: int = 0
    timeout_seconds: int = 600
    allow_bucket_change: bool = False
    allow_model_change: bool = False


class Config(msgspec.Struct, frozen=True):
    """A whole file. `digest` is the SHA-256 of its text, in hex; `notices` are what a person should know of it."""

    buckets: tuple[Bucket, ...]
    providers: tuple[Provider, ...]
    routes: tuple[Route, ...]
    models: tuple[Model, ...]
    digest: str
    notices: tuple[Problem, ...] = ()
