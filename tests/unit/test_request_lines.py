"""Lines of the route ledger made of rows: for the platform, for a customer, and pages of them."""

import pytest

from ledger.catalog.state import Catalog
from projections.receipt.folding import CatalogBehind
from projections.route_ledger.answers import CustomerRequestLine, RequestLine
from projections.route_ledger.listing import LastRequest, WalkedRow, found_in
from projections.route_ledger.rows import Detail, Skipped
from projections.route_ledger.shown import customer_line, request_line
from tests.unit.receipts import minor
from tests.unit.request_rows import CATALOG, request_row
from tests.unit.story import credit

MONEY = ("list_price", "discount", "charge", "corrected", "waived", "refunded", "paid")


def money(line: CustomerRequestLine) -> dict[str, int]:
    """Return the amounts of a line in smallest parts."""
    return {name: minor(getattr(line, name)) for name in MONEY}


def test_amounts_of_the_platform_are_as_they_are_owed() -> None:
    """The charge is what is owed now; what no balance paid of it stands beside the platform's facts."""
    line = request_line(request_row(), CATALOG)
    assert money(line) == {
        "list_price": 12_500, "discount": 2500, "charge": 9000, "corrected": -800, "waived": 200, "refunded": 500,
        "paid": 6000,
    }  # fmt: skip
    assert line.platform.overrun == credit("0.002500")


def test_amounts_of_a_customer_are_what_was_paid() -> None:
    """Overrun, as it was at the settlement, is waived; of a correction only what moved the wallet is told."""
    line = customer_line(request_row(), CATALOG)
    assert money(line) == {
        "list_price": 12_500, "discount": 2500, "charge": 6500, "corrected": -500, "waived": 3000, "refunded": 500,
        "paid": 6000,
    }  # fmt: skip
    assert not hasattr(line, "platform")


def test_both_lines_come_to_the_same_rated_amount() -> None:
    """list price − discount = charge − corrected + waived, whoever reads it."""
    for line in (request_line(request_row(), CATALOG), customer_line(request_row(), CATALOG)):
        told = money(line)
        assert told["list_price"] - told["discount"] == told["charge"] - told["corrected"] + told["waived"] == 10_000


def test_costs_stand_in_their_own_units() -> None:
    """Two failed attempts billed in two units are two amounts, and what is not stated is null."""
    facts = request_line(request_row(), CATALOG).platform
    assert [each.cost and f"{each.cost.value} {each.cost.unit}" for each in facts.failed_costs] == [
        "0.001000000 USD", "0.020000 CNY",
    ]  # fmt: skip
    unknown = request_line(request_row(cost_minor=None, cost_unit=None), CATALOG).platform
    assert unknown.served_cost is not None
    assert unknown.served_cost.cost is None


@pytest.mark.parametrize("reason", ["azure is slow", "our account is empty", "authentication failed"])
def test_a_reason_about_our_side_is_replaced_for_the_customer(reason: str) -> None:
    """Rules and reasons that name a skipped route's provider, or speak of our side, stay with the platform."""
    row = request_row(rule=reason, detail=Detail(skipped=[Skipped("gpt-azure", reason), Skipped("x", "suspended")]))
    whole, shown = request_line(row, CATALOG), customer_line(row, CATALOG)
    assert (whole.rule, [each.reason for each in whole.skipped]) == (reason, [reason, "suspended"])
    assert reason not in (shown.rule, *(each.reason for each in shown.skipped))
    assert shown.skipped[1].reason == "suspended"


def test_entries_between_our_own_accounts_are_the_platforms() -> None:
    """They stand in `platform`, and nowhere for a customer."""
    whole, shown = request_line(request_row(), CATALOG), customer_line(request_row(), CATALOG)
    assert [each.position for each in whole.platform.entries] == [15]
    assert [each.position for each in whole.entries] == [each.position for each in shown.entries] == [10]


def test_a_catalog_that_is_too_old_is_refused() -> None:
    """Without the row's unit, or for the platform its rate card, there is no line rather than a wrong one."""
    for line in (request_line, customer_line):
        with pytest.raises(CatalogBehind):
            line(request_row(), Catalog())
    with pytest.raises(CatalogBehind):
        request_line(request_row(rate_card="unheard-of"), CATALOG)


def walked(wanted: str) -> list[WalkedRow]:
    """Return a way of rows, `x` for those that are asked for."""
    return [
        WalkedRow(request_row(request_id=f"r{at}", began_at=100 - at), each == "x", at)
        for at, each in enumerate(wanted, start=1)
        if each == "x" or at == len(wanted)
    ]


@pytest.mark.parametrize(
    ("way", "limit", "found", "last"),
    [
        ("", 2, [], None), ("xx", 2, ["r1", "r2"], None), ("xxx", 2, ["r1", "r2"], "r2"),
        (".x..x", 2, ["r2", "r5"], "r5"),
        ("....x", 2, ["r5"], "r5"), (".....", 2, [], "r5"), ("x..x.", 2, ["r1", "r4"], "r5"),
        ("x.x.x", 2, ["r1", "r3"], "r3"),
    ],
)  # fmt: skip
def test_a_page_ends_where_it_is_full_or_where_the_way_does(
    way: str, limit: int, found: list[str], last: str | None
) -> None:
    """Of a way of at most five rows the next page begins behind the last row of this one, or of the way."""
    page = found_in(walked(way), limit, 5)
    assert [row.request_id for row in page.rows] == found
    assert page.last == (None if last is None else LastRequest(100 - int(last[1:]), "acme", last))


def test_the_platforms_line_is_a_customers_with_more() -> None:
    """All fields of a customer's line are fields of the platform's, which has one more."""
    assert set(RequestLine.__struct_fields__) - set(CustomerRequestLine.__struct_fields__) == {"platform"}
