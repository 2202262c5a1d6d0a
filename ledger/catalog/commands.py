"""What an admin may ask of the catalog, mostly by `config apply`. All of it goes to the platform's book."""

from typing import Annotated, Literal

from msgspec import Meta

from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM
from ledger.pricing.rate_cards import RateCard

Tier = Literal["direct", "ordinary"]
PricedBy = Literal["ledger", "caller"]
Dialect = Literal["openai", "anthropic", "gemini", "deepseek", "openrouter", "xai", "vllm"]
Scale = Annotated[int, Meta(ge=0, le=9)]
TokenLimit = Annotated[int, Meta(ge=1, le=10**9)]


class CatalogCommand(Command, frozen=True, kw_only=True):
    """Base of all commands on the catalog."""

    workspace_id: str = PLATFORM


class CatalogChange(CatalogCommand, frozen=True, kw_only=True):
    """Base of commands that may come again for one name: `change_id` tells a repeat from another change."""

    change_id: str = ""


class DefineBucket(CatalogCommand, frozen=True, kw_only=True, tag="define_bucket"):
    """Define a kind of balance, once and for ever."""

    bucket: str
    unit: str
    scale: Scale
    symbol: str = ""


class PublishProvider(CatalogChange, frozen=True, kw_only=True, tag="publish_provider"):
    """Publish who is called and the unit of its bills."""

    provider: str
    dialect: Dialect
    api_base: str
    cost_unit: str
    cost_scale: Scale


class PublishRoute(CatalogChange, frozen=True, kw_only=True, tag="publish_route"):
    """Publish a provider's model in one bucket and tier. Refused while no rate card prices it."""

    route: str
    provider: str
    upstream_model: str
    bucket: str
    tier: Tier
    priced_by: PricedBy = "ledger"
    depth: str | None = None
    default_output_limit: TokenLimit | None = None
    context_tokens: TokenLimit | None = None


class PublishModel(CatalogChange, frozen=True, kw_only=True, tag="publish_model"):
    """Publish an alias with its ordered routes. Several buckets only where that is allowed in words."""

    model: str
    targets: tuple[str, ...]
    num_retries: Annotated[int, Meta(ge=0, le=20)] = 0
    timeout_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 600
    allow_bucket_change: bool = False
    allow_model_change: bool = False


class PublishRateCard(CatalogCommand, frozen=True, kw_only=True, tag="publish_rate_card"):
    """Publish a dated version of a route's prices, before or after the route itself."""

    card: RateCard


class SuspendRoute(CatalogChange, frozen=True, kw_only=True, tag="suspend_route"):
    """Route nothing new here. A reason is required."""

    route: str = ""


class ResumeRoute(CatalogChange, frozen=True, kw_only=True, tag="resume_route"):
    """Let the route take requests again. A reason is required."""

    route: str = ""


class RecordConfig(CatalogChange, frozen=True, kw_only=True, tag="record_config"):
    """Record that a configuration file was applied: its SHA-256 in hex and how many changes it made."""

    digest: str
    changes: Annotated[int, Meta(ge=0, le=100_000)]


def catalog_command_id(command: CatalogCommand) -> str:
    """Return the identity of a command on the catalog."""
    match command:
        case DefineBucket(bucket=name):
            return f"@bucket/{name}"
        case PublishRateCard(card=card):
            return f"@rate_card/{card.rate_card}"
        case PublishProvider(provider=name, change_id=change_id):
            return f"@provider/{name}/{change_id}"
        case PublishRoute() | SuspendRoute() | ResumeRoute():
            return f"@route/{command.route}/{command.change_id}"
        case PublishModel(model=name, change_id=change_id):
            return f"@model/{name}/{change_id}"
        case RecordConfig(digest=digest, change_id=change_id):
            return f"@config/{digest}/{change_id}"
    raise TypeError(f"{type(command).__name__} is no command on the catalog")
