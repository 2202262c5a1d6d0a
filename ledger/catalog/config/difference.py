"""What the ledger must be told so that its catalog says what a configuration says. Pure.

The catalog is never emptied by a file: what only the catalog has is left as it is and noticed. What can't be
changed at all (a bucket, a unit's scale, a route's bucket) is a problem, and then nothing is told.
"""

from collections.abc import Iterable, Iterator

import msgspec

from ledger.catalog import commands, events
from ledger.catalog.config.pricing import new_cards, price_notices
from ledger.catalog.config.tables import Problem
from ledger.catalog.config.values import Bucket, Config, Model, Route
from ledger.catalog.state import Catalog

COST_SCALE = 9
"""A provider's unit where nothing else says: a token can cost less than a millionth of it."""


class Difference(msgspec.Struct, frozen=True):
    """Commands in an order that the ledger accepts, what a person should know, and what makes it impossible.

    The last command, if there is any, records the file itself: it belongs after the others were recorded.
    """

    commands: tuple[commands.CatalogCommand, ...]
    notices: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()


def diff(catalog: Catalog, config: Config, now: int) -> Difference:
    """Return how a catalog becomes what a configuration says, at `now` in microseconds.

    Every change is named after the file and the catalog's position: told twice it counts once, and the same file
    can be applied again after another one.
    """
    problems = tuple(immutable_changes(catalog, config))
    notices = (
        *config.notices,
        *left_alone(catalog, config),
        *unreachable(config),
        *(notice for route in config.routes for notice in price_notices(catalog, route, now)),
    )
    if problems:
        return Difference((), notices, problems)
    change_id = f"{config.digest[:16]}.{catalog.position}"
    changes = (
        *new_buckets(catalog, config),
        *changed_providers(catalog, config, change_id),
        *(card for route in config.routes for card in new_cards(catalog, route, now)),
        *changed_routes(catalog, config, change_id),
        *changed_models(catalog, config, change_id),
    )
    if not changes and catalog.config_digest == config.digest:
        return Difference((), notices)
    done = commands.RecordConfig(digest=config.digest, changes=len(changes), change_id=change_id)
    return Difference((*changes, done), notices)


def new_buckets(catalog: Catalog, config: Config) -> Iterator[commands.DefineBucket]:
    """Yield the buckets that the catalog does not have."""
    for bucket in config.buckets:
        if bucket.name not in catalog.buckets:
            yield commands.DefineBucket(bucket=bucket.name, unit=bucket.unit, scale=bucket.scale, symbol=bucket.symbol)


def changed_providers(catalog: Catalog, config: Config, change_id: str) -> Iterator[commands.PublishProvider]:
    """Yield providers that are new or say something else. Where a key is found is nobody else's business."""
    scales = {bucket.unit: bucket.scale for bucket in config.buckets}
    scales |= {each.cost_unit: each.cost_scale for each in config.providers if each.cost_scale is not None}
    scales |= {unit.code: unit.scale for unit in catalog.units.values()}
    for each in config.providers:
        scale = scales.get(each.cost_unit, COST_SCALE)
        wanted = events.ProviderPublished(each.name, each.dialect, each.api_base, each.cost_unit, scale)
        if catalog.providers.get(each.name) != wanted:
            yield commands.PublishProvider(
                provider=each.name,
                dialect=each.dialect,
                api_base=each.api_base,
                cost_unit=each.cost_unit,
                cost_scale=scale,
                change_id=change_id,
            )


def changed_routes(catalog: Catalog, config: Config, change_id: str) -> Iterator[commands.PublishRoute]:
    """Yield routes that are new or say something else, their price aside."""
    for each in config.routes:
        wanted = events.RoutePublished(
            each.name, each.provider, each.model, each.bucket, each.tier,
            each.priced_by, each.depth, each.default_output_limit, each.context_tokens,
        )  # fmt: skip
        if catalog.routes.get(each.name) != wanted:
            yield commands.PublishRoute(
                route=each.name,
                provider=each.provider,
                upstream_model=each.model,
                bucket=each.bucket,
                tier=each.tier,
                priced_by=each.priced_by,
                depth=each.depth,
                default_output_limit=each.default_output_limit,
                context_tokens=each.context_tokens,
                change_id=change_id,
            )


def changed_models(catalog: Catalog, config: Config, change_id: str) -> Iterator[commands.PublishModel]:
    """Yield models that are new or say something else."""
    for each in config.models:
        wanted = events.ModelPublished(
            each.model_name, each.targets, each.num_retries, each.timeout_seconds,
            each.allow_bucket_change, each.allow_model_change,
        )  # fmt: skip
        if catalog.models.get(each.model_name) != wanted:
            yield commands.PublishModel(
                model=each.model_name,
                targets=each.targets,
                num_retries=each.num_retries,
                timeout_seconds=each.timeout_seconds,
                allow_bucket_change=each.allow_bucket_change,
                allow_model_change=each.allow_model_change,
                change_id=change_id,
            )


def immutable_changes(catalog: Catalog, config: Config) -> Iterator[Problem]:
    """Yield what the file wants otherwise although it never changes."""
    for bucket in config.buckets:
        yield from bucket_changes(catalog, bucket)
    for provider in config.providers:
        unit = catalog.units.get(provider.cost_unit)
        if unit is not None and provider.cost_scale not in (None, unit.scale):
            yield Problem(
                f"providers.{provider.name}.cost_scale",
                f"unit {unit.code} has scale {unit.scale} in the catalog, which never changes",
            )
    for route in config.routes:
        yield from route_changes(catalog, route)


def bucket_changes(catalog: Catalog, bucket: Bucket) -> Iterator[Problem]:
    """Yield what a bucket, or its unit's scale, is in the catalog for ever."""
    defined = catalog.buckets.get(bucket.name)
    unit = catalog.units.get(bucket.unit)
    if defined is not None:
        wanted = events.BucketDefined(bucket.name, bucket.unit, bucket.scale, bucket.symbol)
        for field in ("unit", "scale", "symbol"):
            if getattr(defined, field) != getattr(wanted, field):
                yield Problem(
                    f"buckets.{bucket.name}.{field}",
                    f"is {getattr(defined, field)!r} in the catalog: a bucket never changes, define another one",
                )
    elif unit is not None and unit.scale != bucket.scale:
        yield Problem(
            f"buckets.{bucket.name}.scale",
            f"unit {unit.code} has scale {unit.scale} in the catalog, which never changes",
        )


def route_changes(catalog: Catalog, route: Route) -> Iterator[Problem]:
    """Yield a route, or the cards that price it, in another bucket than before."""
    published = catalog.routes.get(route.name)
    cards = catalog.cards_of_route.get(route.name, ())
    before = published.bucket if published is not None else cards[0].bucket if cards else route.bucket
    if before != route.bucket:
        yield Problem(
            f"routes.{route.name}.bucket",
            f"settles in {before} in the catalog: give a route in another bucket another name",
        )


def left_alone(catalog: Catalog, config: Config) -> Iterator[Problem]:
    """Yield what only the catalog has."""
    kinds: tuple[tuple[str, str, Iterable[str], set[str]], ...] = (
        ("buckets", "bucket", catalog.buckets, {each.name for each in config.buckets}),
        ("providers", "provider", catalog.providers, {each.name for each in config.providers}),
        ("routes", "route", catalog.routes, {each.name for each in config.routes}),
        ("model_list", "model", catalog.models, {each.model_name for each in config.models}),
    )
    for place, kind, known, stated in kinds:
        for name in known:
            if name not in stated:
                yield Problem(f"{place}.{name}", f"{kind} {name} is in the catalog but not in the file: left as it is")


def unreachable(config: Config) -> Iterator[Problem]:
    """Yield fallbacks that the ledger will refuse: a direct route changes its model only where that is allowed."""
    routes = {route.name: route for route in config.routes}
    for model in config.models:
        if not model.allow_model_change:
            yield from refused_fallbacks(model, [routes[target] for target in model.targets])


def refused_fallbacks(model: Model, routes: list[Route]) -> Iterator[Problem]:
    """Yield the targets of one model that a direct route before them can't fall back to."""
    for number, route in enumerate(routes):
        for later in routes[number + 1 :]:
            if route.tier == "direct" and later.model != route.model:
                yield Problem(
                    f"model_list.{model.model_name}.targets",
                    f"{route.name} is direct and never falls back to {later.name}, which calls another model; "
                    "set allow_model_change = true if it may",
                )
