"""May this be published? Pure: (catalog, command) → event, or a refusal that names the problem."""

from ledger.catalog import commands, events
from ledger.catalog.state import Catalog
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rate_cards import check_rate_card


def decide_catalog(command: commands.CatalogCommand, catalog: Catalog) -> events.CatalogEvent:
    """Return the event of a command on the catalog, or refuse."""
    match command:
        case commands.DefineBucket():
            return define_bucket(command, catalog)
        case commands.PublishProvider():
            require_unit_scale(catalog, command.cost_unit, command.cost_scale)
            return events.ProviderPublished(
                command.provider, command.dialect, command.api_base, command.cost_unit, command.cost_scale
            )
        case commands.PublishRoute():
            return publish_route(command, catalog)
        case commands.PublishModel():
            return publish_model(command, catalog)
        case commands.PublishRateCard():
            return publish_rate_card(command, catalog)
        case commands.SuspendRoute():
            return suspend_route(command, catalog)
        case commands.ResumeRoute():
            if command.route not in catalog.suspended:
                raise Refused(Refusal.ROUTE_NOT_SUSPENDED, f"route {command.route[:64]!r} is not suspended")
            return events.RouteResumed(command.route)
        case commands.RecordConfig():
            return events.ConfigApplied(command.digest, command.changes)
    raise TypeError(f"{type(command).__name__} is no command on the catalog")


def require_unit_scale(catalog: Catalog, unit: str, scale: int) -> None:
    """Refuse a second scale for a unit: `1.5 CNY` must mean one amount everywhere."""
    known = catalog.units.get(unit)
    if known is not None and known.scale != scale:
        raise Refused(
            Refusal.CATALOG_CONFLICT,
            f"unit {unit} has scale {known.scale} already, not {scale}",
            field="scale",
        )


def define_bucket(command: commands.DefineBucket, catalog: Catalog) -> events.BucketDefined:
    """Define a bucket that does not exist, in a unit that keeps its scale."""
    if command.bucket in catalog.buckets:
        raise Refused(
            Refusal.CATALOG_CONFLICT,
            f"bucket {command.bucket} is defined; a bucket never changes",
            field="bucket",
        )
    require_unit_scale(catalog, command.unit, command.scale)
    return events.BucketDefined(command.bucket, command.unit, command.scale, command.symbol)


def publish_route(command: commands.PublishRoute, catalog: Catalog) -> events.RoutePublished:
    """Publish a route of a known provider and bucket that has a price; its bucket never changes."""
    if command.bucket not in catalog.buckets:
        raise Refused(Refusal.BUCKET_UNKNOWN, f"there is no bucket {command.bucket[:64]!r}", field="bucket")
    if command.provider not in catalog.providers:
        raise Refused(Refusal.PROVIDER_UNKNOWN, f"there is no provider {command.provider[:64]!r}", field="provider")
    before = catalog.routes.get(command.route)
    if before is not None and before.bucket != command.bucket:
        raise Refused(
            Refusal.CATALOG_CONFLICT,
            f"route {command.route} settles in {before.bucket}; give a route in another bucket another name",
            field="bucket",
        )
    cards = catalog.cards_of_route.get(command.route, ())
    if command.priced_by == "ledger" and not cards:
        raise Refused(
            Refusal.ROUTE_WITHOUT_PRICE,
            f"route {command.route} has no rate card: publish one first",
            field="route",
        )
    for card in cards:
        require_card_bucket(card.bucket, command.bucket, command.route)
    return events.RoutePublished(
        command.route, command.provider, command.upstream_model, command.bucket, command.tier,
        command.priced_by, command.depth, command.default_output_limit, command.context_tokens,
    )  # fmt: skip


def require_card_bucket(card_bucket: str, route_bucket: str, route: str) -> None:
    """Refuse a card in another bucket than its route's: it would price one unit in another."""
    if card_bucket != route_bucket:
        raise Refused(
            Refusal.CATALOG_CONFLICT,
            f"route {route} settles in {route_bucket}, but its rate card is in {card_bucket}",
            field="bucket",
        )


def publish_model(command: commands.PublishModel, catalog: Catalog) -> events.ModelPublished:
    """Publish an alias whose every target exists and, unless allowed in words, settles in one bucket."""
    buckets = set()
    for target in command.targets:
        route = catalog.routes.get(target)
        if route is None:
            raise Refused(Refusal.ROUTE_UNKNOWN, f"there is no route {target[:64]!r}", field="targets")
        buckets.add(route.bucket)
    if len(buckets) > 1 and not command.allow_bucket_change:
        raise Refused(
            Refusal.MODEL_BLENDS_BUCKETS,
            f"model {command.model} has targets in {', '.join(sorted(buckets))}; "
            "set allow_bucket_change if a fallback may pay from another balance",
            field="targets",
        )
    return events.ModelPublished(
        command.model, command.targets, command.num_retries, command.timeout_seconds,
        command.allow_bucket_change, command.allow_model_change,
    )  # fmt: skip


def publish_rate_card(command: commands.PublishRateCard, catalog: Catalog) -> events.RateCardPublished:
    """Publish a card under a new name, in its route's bucket, at an instant of its own."""
    card = check_rate_card(command.card)
    if card.bucket not in catalog.buckets:
        raise Refused(Refusal.BUCKET_UNKNOWN, f"there is no bucket {card.bucket[:64]!r}", field="bucket")
    if card.rate_card in catalog.rate_cards:
        raise Refused(
            Refusal.CATALOG_CONFLICT,
            f"rate card {card.rate_card} exists; a card is never edited",
            field="rate_card",
        )
    for other in catalog.cards_of_route.get(card.route, ()):
        if other.valid_from == card.valid_from:
            raise Refused(
                Refusal.CATALOG_CONFLICT,
                f"rate card {other.rate_card} of route {card.route} is valid from the same instant",
                field="valid_from",
            )
        require_card_bucket(card.bucket, other.bucket, card.route)
    route = catalog.routes.get(card.route)
    if route is not None:
        require_card_bucket(card.bucket, route.bucket, card.route)
    return events.RateCardPublished(card)


def suspend_route(command: commands.SuspendRoute, catalog: Catalog) -> events.RouteSuspended:
    """Suspend a known route that is not suspended."""
    if command.route not in catalog.routes:
        raise Refused(Refusal.ROUTE_UNKNOWN, f"there is no route {command.route[:64]!r}", field="route")
    if command.route in catalog.suspended:
        raise Refused(Refusal.ROUTE_SUSPENDED_ALREADY, f"route {command.route} is suspended already")
    return events.RouteSuspended(command.route)
