"""The policies that had a say in a request, on its receipt: each in words, and which of them a customer is told."""

from ledger.core.amounts import StatedAmount
from projections.receipt.answers import CustomerReceipt
from projections.receipt.customer import customer_view
from projections.receipt.page import page_of
from tests.unit import story
from tests.unit.receipts import receipt_in


def policies(receipt: CustomerReceipt) -> dict[str, list[str]]:
    """Return the sentences of a receipt's policies by their names."""
    found: dict[str, list[str]] = {}
    for each in receipt.policies:
        found.setdefault(each.policy, []).append(each.text)
    return found


def test_spend_limits_that_it_counts_against_are_named() -> None:
    """Each limit of the key and of the project is told with its wallet and its period, once."""
    world = story.opened()
    world.all(story.route_request(), story.extend_hold(), story.settle_request())
    told = policies(receipt_in(world))["spend_limit"]
    assert len(told) == len(set(told))
    assert any("API key k1 may spend of the credit wallet on 20" in text for text in told), told
    assert any("project web may spend of the credit wallet in 20" in text for text in told), told
    assert all(text in " ".join(page_of(receipt_in(world)).split()) for text in told)


def test_a_wallet_change_says_who_allowed_it() -> None:
    """A fallback into another bucket rests on the model and the key; one within the bucket needs nobody's leave."""
    world = story.opened()
    world.all(story.route_request(), story.take_fallback())
    (text,) = policies(receipt_in(world))["wallet_change"]
    assert text == "Both the model and the API key allow the rmb wallet to pay instead of the credit wallet."
    world = story.opened()
    world.all(story.route_request(), story.take_fallback(
        to_route="gpt-azure", to_bucket="credit", hold=StatedAmount("1", "CREDIT"), rate_card="gpt-azure.1",
    ))  # fmt: skip
    assert "wallet_change" not in policies(receipt_in(world))


def test_the_settlements_policy_is_one_of_them() -> None:
    """How the counts came about is told to both, the most that was to be charged to the platform alone."""
    limit = StatedAmount("0.001", "CREDIT")
    world = story.opened()
    settle = story.settle_request(usage_source="partial", policy="client_gone_estimated", charge_limit=limit)
    world.all(story.route_request(), settle)
    whole = policies(receipt_in(world))
    assert whole["charge_limit"] == ["At most 0.001000 CREDIT were to be charged."]
    assert whole["client_gone_estimated"][0].startswith("The caller went away")
    shown = policies(customer_view(receipt_in(world)))
    assert shown == {name: texts for name, texts in whole.items() if name != "charge_limit"}
