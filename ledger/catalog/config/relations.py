"""What the parts of a configuration say of each other: names that repeat, point nowhere, or blend buckets."""

from collections.abc import Iterable, Iterator, Sequence

from ledger.catalog.config.tables import Problem
from ledger.catalog.config.values import UNREADABLE_SCALE, Config, Model, Route


def relations(config: Config) -> list[Problem]:
    """Return every problem between the parts. What could not be read is empty here, and not complained of again."""
    return [
        *repeated("buckets", [bucket.name for bucket in config.buckets]),
        *repeated("providers", [provider.name for provider in config.providers]),
        *repeated("routes", [route.name for route in config.routes]),
        *repeated("model_list", [model.model_name for model in config.models]),
        *scales(config),
        *route_references(config),
        *model_references(config),
    ]


def repeated(place: str, names: Iterable[str]) -> Iterator[Problem]:
    """Yield each name that stands more than once in its list."""
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            yield Problem(f"{place}.{name}", "is there twice")
        seen.add(name)


def scales(config: Config) -> Iterator[Problem]:
    """Yield units with two scales: `1.5 CNY` must mean one amount everywhere."""
    stated = [
        (f"buckets.{each.name}.scale", each.unit, each.scale)
        for each in config.buckets
        if each.scale != UNREADABLE_SCALE
    ]
    stated += [
        (f"providers.{each.name}.cost_scale", each.cost_unit, each.cost_scale)
        for each in config.providers
        if each.cost_scale is not None
    ]
    known: dict[str, int] = {}
    for place, unit, scale in stated:
        first = known.setdefault(unit, scale)
        if unit and scale != first:
            yield Problem(place, f"unit {unit} has scale {first} elsewhere in the file, not {scale}")


def route_references(config: Config) -> Iterator[Problem]:
    """Yield routes of providers or buckets that the file does not have."""
    providers = [provider.name for provider in config.providers if provider.name]
    buckets = [bucket.name for bucket in config.buckets if bucket.name]
    for route in config.routes:
        yield from unknown(f"routes.{route.name}.provider", "provider", route.provider, providers)
        yield from unknown(f"routes.{route.name}.bucket", "bucket", route.bucket, buckets)


def unknown(place: str, what: str, name: str, known: Sequence[str]) -> Iterator[Problem]:
    """Yield a name that is not among the known ones. The name itself is not repeated: it passed no check."""
    if name and name not in known:
        yield Problem(place, f"names a {what} that the file does not have; it has {', '.join(known) or 'none'}")


def model_references(config: Config) -> Iterator[Problem]:
    """Yield models whose targets are unknown, repeat, or settle in several buckets without saying so."""
    routes = {route.name: route for route in config.routes if route.name}
    for model in config.models:
        place = f"model_list.{model.model_name}.targets"
        for number, target in enumerate(model.targets, start=1):
            yield from unknown(f"{place} #{number}", "route", target, tuple(routes))
        for target in sorted({target for target in model.targets if model.targets.count(target) > 1}):
            if target in routes:
                yield Problem(place, f"names {target} twice")
        yield from blends(place, model, [routes[target] for target in model.targets if target in routes])


def blends(place: str, model: Model, routes: list[Route]) -> Iterator[Problem]:
    """Yield a chain across buckets that is not allowed in so many words."""
    buckets = sorted({route.bucket for route in routes if route.bucket})
    if len(buckets) > 1 and not model.allow_bucket_change:
        yield Problem(
            place,
            f"settle in {' and '.join(buckets)}: a fallback would pay from another balance; "
            "set allow_bucket_change = true if that is meant",
        )
