"""The posting rules that the offline verifier has of its own: the ledger's legs, for every kind of event."""

import json
from collections.abc import Iterator

import msgspec

from ledger.core.amounts import format_minor
from ledger.events import TAGS, Event, Fact, encode_fact
from ledger.posting_rules import RULES as LEDGER_RULES
from ledger.posting_rules import post, post_nothing
from ledger.request.events import ChargeCorrected, FallbackTaken, Why
from ledger.wallet.events import AdjustmentPosted
from projections.audit.verify_export import RULES, entries_of
from tests.unit.golden_facts import LATER
from tests.unit.small_export import ACME, SCALES

MINOR_MAX = 10**17


def amounts_of_all_sizes() -> Iterator[Event]:
    """Yield every kind of event, and with each of its amounts as nothing, as little and as much as there can be."""
    for event in [*ACME, *LATER.values()]:
        yield event
        fields = () if isinstance(event, ChargeCorrected) else event.__struct_fields__
        for field in fields:
            if field.endswith("_minor") and isinstance(getattr(event, field), int):
                for amount in (0, 1, MINOR_MAX):
                    yield msgspec.structs.replace(event, **{field: amount})
    for amount in (-1, 0, 1, -MINOR_MAX, MINOR_MAX):
        yield AdjustmentPosted("rmb", "CNY", amount, "a")
        yield ChargeCorrected("n", "r", "rmb", "CNY", amount, "mistake")
    yield ChargeCorrected("n", "r", "rmb", "CNY", -5, "mistake", overrun_minor=5)
    yield ChargeCorrected("n", "r", "rmb", "CNY", -5, "mistake", overrun_minor=2)
    yield FallbackTaken(
        1, "a", "b", "rmb", "rmb", "CNY", "CNY", 5, 7, 1, 1, "timeout", Why("x"), "ordinary", "p", "m"
    )  # fmt: skip


def test_every_kind_of_event_is_known() -> None:
    """The verifier has a rule for every kind of event, and the same ones move no money."""
    assert {TAGS[kind] for kind in LEDGER_RULES} == set(RULES)
    without_money = {TAGS[kind] for kind, rule in LEDGER_RULES.items() if rule is post_nothing}
    assert without_money == {tag for tag, legs in RULES.items() if not legs}


def test_the_rules_are_the_ledgers() -> None:
    """From the JSON of each event just the legs are derived that the ledger posts, in the order of buckets."""
    scales = {(bucket, unit): scale for bucket, (unit, scale) in SCALES.items()}
    tried = 0
    for event in amounts_of_all_sizes():
        posted = [
            (entry.bucket, SCALES[entry.bucket][0], [
                (leg.debit_account, leg.credit_account, format_minor(leg.minor, SCALES[entry.bucket][1]))
                for leg in entry.legs
            ])
            for entry in sorted(post(event), key=lambda entry: entry.bucket)
        ]  # fmt: skip
        derived = entries_of(json.loads(encode_fact(Fact("k", 0, 0, event)))["event"], scales)
        assert [tuple(entry.values()) for entry in derived] == posted, event
        tried += 1
    assert tried > 100
