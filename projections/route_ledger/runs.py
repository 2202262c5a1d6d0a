"""Sums of a run's requests → its totals by bucket and by route in each, as the platform or a customer sees them. Pure.

Counts may be added over buckets, amounts never: there is a tally for each bucket, and costs are kept by their unit.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from ledger.api.answers import instant
from ledger.catalog.state import Catalog
from ledger.core.amounts import StatedAmount, Unit, state_amount
from projections.receipt.folding import CatalogBehind
from projections.route_ledger.answers import (
    BucketTotal,
    CustomerBucketTotal,
    CustomerRouteTotal,
    RouteTotal,
    TotalPlatform,
)
from projections.route_ledger.shown import unit_of

__all__ = ["FailureSums", "RequestSums", "RunSums", "bucket_totals", "customer_bucket_totals", "run_head"]

ENDED = "ended"
RUNNING = "running"


class RequestSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of a run's requests on one route in one bucket, of those whose provider bills in one unit."""

    bucket: str
    unit: str
    route: str
    cost_unit: str | None
    workflows: list[str]
    began_at: int
    changed_at: int
    ended_at: int | None
    requests: int
    open: int
    settled: int
    failed: int
    cancelled: int
    expired: int
    estimated: int
    without_cost: int
    fallbacks: int
    input_tokens: int
    output_tokens: int
    held_minor: int
    charge_minor: int
    paid_minor: int
    overrun_minor: int
    refunded_minor: int
    cost_minor: int


class FailureSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of the attempts of a run that failed on one route in one bucket, of those billed in one unit."""

    bucket: str
    route: str
    cost_unit: str | None
    failed_attempts: int
    retries: int
    waste_unknown: int
    waste_minor: int


class RunSums(msgspec.Struct, frozen=True):
    """Everything that is summed up of a run."""

    requests: list[RequestSums]
    failures: list[FailureSums]


class Tally(msgspec.Struct):
    """Counts and amounts of one bucket or one route in it; costs by unit."""

    requests: int = 0
    open: int = 0
    settled: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    estimated: int = 0
    without_cost: int = 0
    failed_attempts: int = 0
    retries: int = 0
    waste_unknown: int = 0
    fallbacks: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    held_minor: int = 0
    charge_minor: int = 0
    paid_minor: int = 0
    overrun_minor: int = 0
    refunded_minor: int = 0
    costs: dict[str, int] = {}
    waste: dict[str, int] = {}

    def add(self, sums: RequestSums | FailureSums) -> None:
        """Add sums, each to the field of its name."""
        for name in sums.__struct_fields__:
            if name in SUMMED:
                setattr(self, name, getattr(self, name) + getattr(sums, name))
        if sums.cost_unit is not None:
            costs, minor = (
                (self.costs, sums.cost_minor) if isinstance(sums, RequestSums) else (self.waste, sums.waste_minor)
            )
            costs[sums.cost_unit] = costs.get(sums.cost_unit, 0) + minor


SUMMED = frozenset(Tally.__struct_fields__) - {"costs", "waste"}
COUNTS = (
    "requests", "open", "settled", "failed", "cancelled", "expired", "failed_attempts", "retries", "fallbacks",
    "input_tokens", "output_tokens",
)  # fmt: skip
"""What may be counted over buckets."""


def run_head(workspace_id: str, run: str, sums: RunSums) -> dict[str, Any]:
    """Return the fields of a run that are not of one bucket. Raises ValueError for one without any request."""
    counts = Tally()
    for each in (*sums.requests, *sums.failures):
        for name in COUNTS:
            setattr(counts, name, getattr(counts, name) + getattr(each, name, 0))
    ends = [each.ended_at for each in sums.requests if each.ended_at is not None]
    return {
        "workspace_id": workspace_id,
        "run": run,
        "status": RUNNING if counts.open else ENDED,
        "workflows": sorted({workflow for each in sums.requests for workflow in each.workflows}),
        "began_at": instant(min(each.began_at for each in sums.requests)),
        "changed_at": instant(max(each.changed_at for each in sums.requests)),
        "ended_at": None if counts.open else instant(max(ends)),
        **{name: getattr(counts, name) for name in COUNTS},
    }


def bucket_totals(sums: RunSums, catalog: Catalog) -> list[BucketTotal]:
    """Return the totals of each bucket by name, as the platform sees them. Raises CatalogBehind."""
    totals = []
    for bucket, routes in tallies_of(sums).items():
        unit = bucket_unit(bucket, catalog)
        totals.append(
            BucketTotal(
                bucket=bucket,
                unit=unit.code,
                routes=[
                    RouteTotal(route=route, platform=platform_part(tally, unit, catalog), **owed(tally, unit))
                    for route, tally in sorted(routes.items())
                    if route
                ],
                platform=platform_part(routes[""], unit, catalog),
                **owed(routes[""], unit),
            )
        )
    return totals


def customer_bucket_totals(sums: RunSums, catalog: Catalog) -> list[CustomerBucketTotal]:
    """Return the totals of each bucket by name, as the workspace sees them: the charge is what was paid."""
    totals = []
    for bucket, routes in tallies_of(sums).items():
        unit = bucket_unit(bucket, catalog)
        totals.append(
            CustomerBucketTotal(
                bucket=bucket,
                unit=unit.code,
                routes=[
                    CustomerRouteTotal(route=route, **paid(tally, unit))
                    for route, tally in sorted(routes.items())
                    if route
                ],
                **paid(routes[""], unit),
            )
        )
    return totals


def tallies_of(sums: RunSums) -> dict[str, dict[str, Tally]]:
    """Return a tally for each route in each bucket, and under no route that of the bucket, by bucket's name."""
    tallies: dict[str, dict[str, Tally]] = {}
    every: Iterable[RequestSums | FailureSums] = (*sums.requests, *sums.failures)
    for each in sorted(every, key=bucket_of):
        routes = tallies.setdefault(each.bucket, {"": Tally()})
        for route in ("", each.route):
            routes.setdefault(route, Tally()).add(each)
    return tallies


def bucket_of(sums: RequestSums | FailureSums) -> str:
    """Return the bucket of sums."""
    return sums.bucket


def owed(tally: Tally, unit: Unit) -> dict[str, Any]:
    """Return what both see, with the charge that is owed."""
    return shown(tally, unit, tally.charge_minor)


def paid(tally: Tally, unit: Unit) -> dict[str, Any]:
    """Return what both see, with the charge that was paid."""
    return shown(tally, unit, tally.paid_minor)


def shown(tally: Tally, unit: Unit, charge_minor: int) -> dict[str, Any]:
    """Return the fields of a customer's total."""
    return {
        **{name: getattr(tally, name) for name in COUNTS},
        "estimated": tally.estimated,
        "held": state_amount(tally.held_minor, unit),
        "charge": state_amount(charge_minor, unit),
        "refunded": state_amount(tally.refunded_minor, unit),
        "paid": state_amount(tally.paid_minor - tally.refunded_minor, unit),
    }


def platform_part(tally: Tally, unit: Unit, catalog: Catalog) -> TotalPlatform:
    """Return what only the platform may see of a total."""
    return TotalPlatform(
        state_amount(tally.overrun_minor, unit),
        by_unit(tally.costs, catalog),
        tally.without_cost,
        by_unit(tally.waste, catalog),
        tally.waste_unknown,
    )


def by_unit(costs: dict[str, int], catalog: Catalog) -> list[StatedAmount]:
    """Return one amount for each unit, by name."""
    return [state_amount(minor, unit_of(unit, catalog)) for unit, minor in sorted(costs.items())]


def bucket_unit(bucket: str, catalog: Catalog) -> Unit:
    """Return the unit of a bucket. Raises CatalogBehind."""
    defined = catalog.buckets.get(bucket)
    if defined is None:
        raise CatalogBehind(bucket)
    return unit_of(defined.unit, catalog)
