"""Rules of the finance reads: months meet, sums of memos are exact, and a rate is used only where it is stated."""

from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.catalog.events import BucketDefined
from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit
from ledger.pricing.rate_cards import RateCard
from ledger.wallet.events import Paid
from projections.funding.answers import FundingKind
from projections.funding.found import EventFound
from projections.funding.memos import lacking, memo_totals, repeated_ids
from projections.margin.answers import MarginPage
from projections.margin.found import MarginFound, MarginSums
from projections.margin.telling import margin_page, restate, stated_rate
from projections.receipt.folding import CatalogBehind
from projections.spend.asking import AskedWrongly, PeriodAsked
from projections.spend.zones import stated
from projections.statements.asking import month_of
from tests import strategies
from tests.strategies import ONE_RATE

ZONES = (
    "UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe",
    "Pacific/Kiritimati", "Africa/Cairo", "America/Sao_Paulo",
)  # fmt: skip
months = st.builds("{:04d}-{:02d}".format, st.integers(1981, 2040), st.integers(1, 12))
decimal_texts = st.decimals(0, 10**9, places=2).map(str) | st.integers(0, 10**18 - 1).map(str)
memos = st.builds(Paid, decimal_texts, st.sampled_from(("CNY", "USD", "JPY")), st.none() | decimal_texts)
DOLLARS = Unit("USD", 9)
PERIOD = PeriodAsked(0, 10**15)
CARD = RateCard("a.1", "a", "credit", 0, ONE_RATE, "test", source_unit="USD", units_per_source_unit="7.1")
SILENT = msgspec.structs.replace(CARD, rate_card="a.2", units_per_source_unit=None)
FOREIGN = msgspec.structs.replace(CARD, rate_card="a.3", source_unit="EUR")
CATALOG = Catalog(
    buckets={"credit": BucketDefined("credit", "CREDIT", 6)},
    units={"CREDIT": Unit("CREDIT", 6), "USD": DOLLARS},
    rate_cards={card.rate_card: card for card in (CARD, SILENT, FOREIGN)},
)
SUMS = MarginSums(requests=3, charge_minor=5_000_000, overrun_minor=100, cost_minor=10**9, waste_minor=10**8)


@given(months, st.sampled_from(ZONES))
def test_months_meet(name: str, zone_name: str) -> None:
    """A month begins with its first day by the zone's clocks and ends where the next one begins, whatever clocks do."""
    month = month_of(name, zone_name)
    following = f"{int(name[:4]) + (name[5:] == '12'):04d}-{int(name[5:]) % 12 + 1:02d}"
    assert month.begin < month.end == month_of(following, zone_name).begin
    assert stated(month.begin, ZoneInfo(zone_name))[:10] == f"{name}-01"


@pytest.mark.parametrize(
    "name", ["2025-13", "2025-00", "2025-1", "1979-12", "9999-01", "2025-10-01", "", "２０２５-10"]
)
def test_what_is_no_month_is_refused(name: str) -> None:
    """Only a year from 1980 and a month of two digits, as ASCII, are one."""
    with pytest.raises(AskedWrongly, match="month"):
        month_of(name, "UTC")


@given(st.lists(memos, max_size=20))
def test_memos_are_summed_exactly(drawn: list[Paid]) -> None:
    """Each currency has the exact sum of its own memos, of any size; a fee that none states is not known."""
    totals = {total.currency: total for total in memo_totals(drawn)}
    assert set(totals) == {paid.currency for paid in drawn}
    for currency, total in totals.items():
        own = [paid for paid in drawn if paid.currency == currency]
        fees = [Fraction(paid.fee) for paid in own if paid.fee is not None]
        assert Fraction(total.amount) == sum(Fraction(paid.amount) for paid in own)
        assert (None if total.fee is None else Fraction(total.fee)) == (sum(fees) if fees else None)
        assert (total.events, total.without_fee) == (len(own), len(own) - len(fees))


def event(
    position: int, kind: FundingKind = "payment", external_id: str | None = "x", source: str = "bank"
) -> EventFound:
    """Return an event at an instant of its position."""
    paid = Paid("1", "CNY", None, external_id)
    return EventFound("acme", position, kind, position, "credit", source, f"r-{position}", 1, paid)


def test_external_ids_that_stand_twice() -> None:
    """Two payments, or two withdrawals, of one source may not share an id; a reversal names that of its payment."""
    events = [
        event(1), event(2), event(3, source="wechat"), event(4, "reversal"), event(5, "reversal"),
        event(6, "withdrawal", "w"), event(7, "withdrawal", "w"), event(8, external_id=None),
        event(9, external_id=None),
    ]  # fmt: skip
    assert [key for key, _ in repeated_ids(events, 0, 100)] == [("payment", "bank", "x"), ("withdrawal", "bank", "w")]
    assert [key for key, _ in repeated_ids(events, 7, 8)] == [("withdrawal", "bank", "w")]
    assert [lacking(each) for each in (events[0], events[7])] == [None, "external_id"]
    assert lacking(msgspec.structs.replace(events[0], paid=None)) == "memo"


@given(strategies.minors, strategies.units, strategies.rate_texts(9999), strategies.units)
def test_restating_is_exact_and_rounded_once(minor: int, source: Unit, rate: str, target: Unit) -> None:
    """An amount at a stated rate is off by at most half of the smallest part, and ties go to the even one."""
    exact = Fraction(minor, 10**source.scale) * Fraction(rate) * 10**target.scale
    found = restate(minor, source, rate, target)
    assert abs(found - exact) <= Fraction(1, 2)
    assert found == round(exact)


def test_a_rate_is_stated_for_the_unit_of_the_bill_or_not_at_all() -> None:
    """A card that names no rate, or one for another unit than that of the bill, states none."""
    assert [stated_rate(card, DOLLARS) for card in (CARD, SILENT, FOREIGN)] == ["7.1", None, None]


def page_of(*found: MarginFound) -> MarginPage:
    """Return margins of what was found."""
    return margin_page(None, PERIOD, "UTC", found, CATALOG, complete=True)


def test_a_row_has_a_margin_only_where_all_of_it_is_known() -> None:
    """One part without a stated rate, or of unknown cost, leaves the row without a margin; the other keeps its own."""
    (row,) = page_of(MarginFound("credit", "a", "USD", "a.1", SUMS)).rows
    assert (row.charge.owed.value, row.charge.paid.value, row.charge.overrun.value) == (
        "5.000000",
        "4.999900",
        "0.000100",
    )
    assert row.restated_cost is not None
    assert row.margin is not None
    assert (row.restated_cost.value, row.margin.value, row.margin.unit) == ("7.810000", "-2.810100", "CREDIT")
    for other in (
        MarginFound("credit", "a", "USD", "a.2", SUMS),
        MarginFound("credit", "a", "USD", "a.3", SUMS),
        MarginFound("credit", "a", "USD", None, MarginSums(failed_attempts=1, waste_minor=1)),
        MarginFound("credit", "a", "USD", None, MarginSums(failed_attempts=1, waste_unknown=1)),
    ):
        (row,) = page_of(MarginFound("credit", "a", "USD", "a.1", SUMS), other).rows
        assert (row.restated_cost, row.margin) == (None, None)
        restated = {card.rate_card: card.restated is not None for card in row.cards}
        assert restated == {"a.1": True, other.rate_card: False}
    (unknown,) = page_of(MarginFound("credit", "a", None, "a.1", MarginSums(requests=1, without_cost=1))).rows
    assert (unknown.cost, unknown.margin, unknown.cards[0].restated) == (None, None, None)


def test_an_older_catalog_is_not_enough() -> None:
    """A bucket, card or unit that the catalog does not know yet is said, and never guessed."""
    for found in (
        MarginFound("gold", "a", "USD", None, SUMS),
        MarginFound("credit", "a", "JPY", None, SUMS),
        MarginFound("credit", "a", "USD", "a.9", SUMS),
    ):
        with pytest.raises(CatalogBehind):
            page_of(found)
