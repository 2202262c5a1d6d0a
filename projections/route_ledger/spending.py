"""A row of the route ledger → what it adds to spend. Pure.

What was spent is a function of the rows: a row that changes takes back what it had added and adds anew, so that the
sums are those of the rows at every moment, whatever comes late.
"""

import msgspec

from projections.route_ledger.rows import FailedAttempt, RequestRow

__all__ = ["QUARTER_MICROSECONDS", "SpendCell", "Spending", "Sums", "add_row", "quarter_of"]

QUARTER_MICROSECONDS = 900_000_000
"""A quarter of an hour: every time zone's days begin with one."""


class SpendCell(msgspec.Struct, frozen=True, array_like=True):
    """What spend is told apart by, in the order of the columns of `projections.spend_cell`."""

    workspace_id: str
    bucket: str
    project_id: str
    api_key_id: str
    workflow: str | None
    run: str | None
    model: str
    route: str
    tier: str
    provider: str
    reported_model: str | None
    rate_card: str | None
    first_route: str
    first_bucket: str
    first_rate_card: str | None
    cost_unit: str | None


class Sums(msgspec.Struct):
    """Counts and amounts of one cell in one quarter, in the order of the columns of `projections.spend`.

    A request counts when it ends. `charge` is as it was settled; `corrected` and `undone` (of what no balance had
    paid) and `refunded` count when they happen, as do failed attempts and what they cost, `waste`.
    """

    requests: int = 0
    settled: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    estimated: int = 0
    unpriced: int = 0
    retries: int = 0
    fallbacks: int = 0
    failed_attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    without_cost: int = 0
    waste_unknown: int = 0
    charge_minor: int = 0
    listed_minor: int = 0
    list_minor: int = 0
    waived_minor: int = 0
    overrun_minor: int = 0
    refunded_minor: int = 0
    corrected_minor: int = 0
    undone_minor: int = 0
    cost_minor: int = 0
    waste_minor: int = 0
    lines: dict[tuple[str, str], list[int]] = {}
    """By part and rate: tokens, and what they were charged."""

    def is_empty(self) -> bool:
        """Return whether nothing is left of it."""
        return not any(msgspec.structs.astuple(self)[:-1]) and not any(any(each) for each in self.lines.values())

    def may_end_empty(self) -> bool:
        """Return whether these may bring what was there before to nothing. No total of these three is ever negative."""
        return not (self.requests > 0 or self.failed_attempts > 0 or self.refunded_minor > 0)


Spending = dict[tuple[int, SpendCell], Sums]
"""What was added, by quarter and cell."""


def quarter_of(instant: int) -> int:
    """Return the first microsecond of an instant's quarter of an hour."""
    return instant - instant % QUARTER_MICROSECONDS


def add_row(spending: Spending, row: RequestRow, sign: int) -> None:
    """Add what a row says was spent; with the sign −1 take it back."""
    for failure in row.detail.failures:
        add_failure(sums_of(spending, failure.happened_at, cell_of_failure(row, failure)), failure, sign)
    if row.ended_at is None:
        return
    cell = cell_of(row)
    add_end(sums_of(spending, row.ended_at, cell), row, sign)
    for amendment in row.detail.amendments:
        sums = sums_of(spending, amendment.happened_at, cell)
        if amendment.kind == "refund":
            sums.refunded_minor -= sign * amendment.change_minor
        else:
            sums.corrected_minor += sign * amendment.change_minor
            sums.undone_minor += sign * amendment.undone_minor


def sums_of(spending: Spending, instant: int, cell: SpendCell) -> Sums:
    """Return the sums of a cell in an instant's quarter, made when they are not there."""
    key = (quarter_of(instant), cell)
    found = spending.get(key)
    if found is None:
        found = spending[key] = Sums()
    return found


def cell_of(row: RequestRow) -> SpendCell:
    """Return the cell in which a request ended."""
    return SpendCell(
        row.workspace_id, row.bucket, row.project_id, row.api_key_id, row.workflow, row.run, row.model, row.route,
        row.tier, row.provider, row.reported_model, row.rate_card, row.first_route, row.first_bucket,
        row.first_rate_card, row.cost_unit,
    )  # fmt: skip


def cell_of_failure(row: RequestRow, failure: FailedAttempt) -> SpendCell:
    """Return the cell of an attempt that failed: that of its own route, without a model or card that priced it."""
    return SpendCell(
        row.workspace_id, failure.bucket, row.project_id, row.api_key_id, row.workflow, row.run, row.model,
        failure.route, failure.tier, failure.provider, None, None, row.first_route, row.first_bucket,
        row.first_rate_card, failure.cost_unit,
    )  # fmt: skip


def add_failure(sums: Sums, failure: FailedAttempt, sign: int) -> None:
    """Add a failed attempt and what it cost."""
    sums.failed_attempts += sign
    sums.retries += sign * failure.retried
    if failure.cost_minor is None:
        sums.waste_unknown += sign
    else:
        sums.waste_minor += sign * failure.cost_minor


def add_end(sums: Sums, row: RequestRow, sign: int) -> None:
    """Add a request that has ended."""
    sums.requests += sign
    sums.fallbacks += sign * row.fallbacks
    match row.status:
        case "settled":
            add_settlement(sums, row, sign)
        case "failed":
            sums.failed += sign
        case "cancelled":
            sums.cancelled += sign
        case "expired":
            sums.expired += sign


def add_settlement(sums: Sums, row: RequestRow, sign: int) -> None:
    """Add what a request used and was charged when it was settled, before any correction."""
    corrected_minor, undone_minor = corrections_of(row)
    sums.settled += sign
    sums.estimated += sign * (row.usage_source != "reported")
    sums.unpriced += sign * row.unpriced
    sums.input_tokens += sign * (row.input_tokens or 0)
    sums.output_tokens += sign * (row.output_tokens or 0)
    sums.charge_minor += sign * ((row.charge_minor or 0) - corrected_minor)
    sums.overrun_minor += sign * ((row.overrun_minor or 0) + undone_minor)
    sums.waived_minor += sign * (row.waived_minor or 0)
    sums.listed_minor += sign * (row.listed_minor or 0)
    sums.list_minor += sign * (row.list_minor or 0)
    if row.cost_minor is None:
        sums.without_cost += sign
    else:
        sums.cost_minor += sign * row.cost_minor
    for each in row.detail.lines:
        line = sums.lines.setdefault((each.part, each.rate), [0, 0])
        line[0] += sign * each.tokens
        line[1] += sign * each.rated_minor


def corrections_of(row: RequestRow) -> tuple[int, int]:
    """Return what corrections changed in what is owed, and how much of that undid what no balance had paid."""
    corrections = [each for each in row.detail.amendments if each.kind == "correction"]
    return sum(each.change_minor for each in corrections), sum(each.undone_minor for each in corrections)
