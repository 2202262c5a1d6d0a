"""What an action changed, as a sentence. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ledger.api.answers import instant
from ledger.catalog import events as catalog
from ledger.core.amounts import Unit, state_amount
from ledger.request import events as request
from ledger.wallet import events as wallet
from ledger.workspace import events as workspace

__all__ = ["SENTENCES", "action_text"]

Units = Mapping[str, Unit]
Sentence = Callable[[Any, Units], str]


def action_text(event: object, units: Units, request_id: str | None) -> str:
    """Return what an event changed as a sentence. Raises LookupError for a unit that is not known."""
    text = SENTENCES[type(event)](event, units)
    return text if request_id is None else f"{text.removesuffix('.')}, on request {request_id}."


def amount(minor: int, unit: str, units: Units) -> str:
    """Return an amount with its unit."""
    stated = state_amount(minor, units[unit])
    return f"{stated.value} {stated.unit}"


def spending(limits: Iterable[workspace.SpendLimit], units: Units) -> list[str]:
    """Return spend limits in words."""
    return [f"{amount(each.limit_minor, each.unit, units)} a {each.period} of {each.bucket}" for each in limits]


def limited(texts: list[str]) -> str:
    """Return limits as the end of a sentence."""
    return f"with limits: {', '.join(texts)}" if texts else "without limits"


def key_limits(limits: workspace.KeyLimits, units: Units) -> str:
    """Return what a key may use, as the end of a sentence."""
    texts = spending(limits.spend, units)
    for name, values in (("models", limits.models), ("buckets", limits.buckets)):
        if values is not None:
            texts.append(f"{name} {', '.join(values) or 'none'}")
    for number, name in ((limits.requests_per_minute, "requests"), (limits.tokens_per_minute, "tokens")):
        if number is not None:
            texts.append(f"{number:,} {name} a minute")
    may = "; it may change buckets" if limits.allow_bucket_change else ""
    return limited(texts) + may


def issued(event: workspace.ApiKeyIssued, units: Units) -> str:
    """Return a new key in words."""
    project = "" if event.project_id is None else f" for project {event.project_id}"
    scopes = ", ".join(event.scopes) or "none"
    return f"Issued key {event.api_key_id}{project}, scopes {scopes}, {key_limits(event.limits, units)}."


def opened(event: wallet.WalletOpened, units: Units) -> str:
    """Return a new wallet in words; its own event states the scale."""
    limit = amount(event.credit_limit_minor, event.unit, {event.unit: Unit(event.unit, event.scale)})
    return f"Opened the {event.bucket} wallet in {event.unit}, with a credit limit of {limit}."


def paid_for(event: wallet.FundsAdded | wallet.FundsReversed | wallet.FundsWithdrawn) -> str:
    """Return the payment that money came or went by."""
    paid = "" if event.paid is None else f", {event.paid.amount} {event.paid.currency} paid"
    return f"{event.source} {event.reference}{paid}"


def exchanged(event: wallet.BucketExchanged, units: Units) -> str:
    """Return an exchange in words."""
    given = amount(event.from_minor, event.from_unit, units)
    got = amount(event.to_minor, event.to_unit, units)
    return (
        f"Exchanged {given} of the {event.from_bucket} wallet for {got} in the {event.to_bucket} wallet, "
        f"at {event.rate} rounded {event.rounding}."
    )


def corrected(event: request.ChargeCorrected, units: Units) -> str:
    """Return a correction in words."""
    by_card = "" if event.rate_card is None else f" by rate card {event.rate_card}"
    difference = amount(event.difference_minor, event.unit, units)
    sign = "" if difference.startswith("-") else "+"
    return f"Corrected a charge to the {event.bucket} wallet by {sign}{difference}: {event.cause}{by_card}."


def published_route(event: catalog.RoutePublished, units: Units) -> str:
    """Return a route in words."""
    return (
        f"Published route {event.route}: {event.upstream_model} at {event.provider}, {event.tier}, settled in "
        f"{event.bucket}, priced by the {event.priced_by}."
    )


def published_key(event: workspace.SigningKeyPublished, units: Units) -> str:
    """Return a signing key in words."""
    replaced = "" if event.replaces is None else f" in the place of {event.replaces}"
    return f"Published the key {event.key_id} of {event.name}, which signs checkpoints{replaced}."


def moved(verb: str) -> Sentence:
    """Return the sentence of money that came or went by a payment."""
    return lambda event, units: (
        f"{verb} {amount(event.amount_minor, event.unit, units)}, the {event.bucket} wallet: {paid_for(event)}."
    )


SENTENCES: dict[type[Any], Sentence] = {
    workspace.WorkspaceCreated: lambda event, units: f"Opened the workspace; its days are those of {event.time_zone}.",
    workspace.ProjectCreated: lambda event, units: (
        f"Created project {event.project_id}, {limited(spending(event.spend_limits, units))}."
    ),
    workspace.ProjectLimitsChanged: lambda event, units: (
        f"Changed project {event.project_id}, {limited(spending(event.spend_limits, units))} now."
    ),
    workspace.ApiKeyIssued: issued,
    workspace.ApiKeyLimitsChanged: lambda event, units: (
        f"Changed key {event.api_key_id}, {key_limits(event.limits, units)} now."
    ),
    workspace.ApiKeyRevoked: lambda event, units: f"Revoked key {event.api_key_id}.",
    workspace.PeriodClosed: lambda event, units: (
        f"Closed period {event.period}, with {len(event.balances):,} closing balances; it ended at "
        f"{instant(event.until)}."
    ),
    workspace.PeriodReopened: lambda event, units: f"Reopened period {event.period}.",
    workspace.SigningKeyPublished: published_key,
    wallet.WalletOpened: opened,
    wallet.CreditLimitChanged: lambda event, units: (
        f"Changed the credit limit of the {event.bucket} wallet from "
        f"{amount(event.previous_minor, event.unit, units)} to {amount(event.credit_limit_minor, event.unit, units)}."
    ),
    wallet.WalletFrozen: lambda event, units: f"Froze the {event.bucket} wallet.",
    wallet.WalletUnfrozen: lambda event, units: f"Unfroze the {event.bucket} wallet.",
    wallet.FundsAdded: moved("Added"),
    wallet.FundsGranted: lambda event, units: (
        f"Granted {amount(event.amount_minor, event.unit, units)} to the {event.bucket} wallet."
    ),
    wallet.FundsReversed: moved("Took back"),
    wallet.FundsWithdrawn: moved("Paid out"),
    wallet.AdjustmentPosted: lambda event, units: (
        f"Adjusted the {event.bucket} wallet by {amount(event.amount_minor, event.unit, units)}."
    ),
    wallet.BucketExchanged: exchanged,
    request.ChargeRefunded: lambda event, units: (
        f"Gave back {amount(event.refund_minor, event.unit, units)} to the {event.bucket} wallet."
    ),
    request.ChargeCorrected: corrected,
    catalog.BucketDefined: lambda event, units: (
        f"Defined bucket {event.bucket} in {event.unit} with {event.scale} decimals."
    ),
    catalog.ProviderPublished: lambda event, units: (
        f"Published provider {event.provider}: {event.dialect} at {event.api_base}, billing in {event.cost_unit}."
    ),
    catalog.RoutePublished: published_route,
    catalog.ModelPublished: lambda event, units: (
        f"Published model {event.model}, served by {', '.join(event.targets)}."
    ),
    catalog.RateCardPublished: lambda event, units: (
        f"Published rate card {event.card.rate_card} of route {event.card.route} in {event.card.bucket}, valid from "
        f"{instant(event.card.valid_from)}."
    ),
    catalog.RouteSuspended: lambda event, units: f"Suspended route {event.route}.",
    catalog.RouteResumed: lambda event, units: f"Resumed route {event.route}.",
    catalog.ConfigApplied: lambda event, units: (
        f"Applied configuration {event.digest[:12]}, after {event.changes:,} changes."
    ),
}
"""By type of event, the sentence; those of gateways have none."""
