"""A receipt as a page for a person: plain text of at most 100 columns, for somebody who never saw a ledger."""

from ledger.core.amounts import StatedAmount
from projections.layout import COLUMNS, pair, sentence, table, title, wrapped
from projections.receipt.answers import (
    BucketTotals,
    Calculation,
    CustomerReceipt,
    PlatformFacts,
    PricedLine,
    Receipt,
    TokensUsed,
)
from projections.receipt.moments import CorrectedMoment
from projections.receipt.policies import SETTLEMENT
from projections.receipt.words import PARTS, duration, of, said
from projections.stated import is_zero, negated

__all__ = ["page_of"]

DIGEST_SHOWN = 16
"""Hex characters of a digest that a person compares; the whole of it is in the JSON."""


def page_of(receipt: CustomerReceipt) -> str:
    """Return the page, with what only the platform may see where the receipt has it."""
    lines = [
        *head(receipt),
        *why(receipt),
        *happened(receipt),
        *used(receipt.usage),
        *worked_out(receipt.calculation),
        *corrections(receipt),
        *paid(receipt),
        *booked(receipt),
    ]
    if isinstance(receipt, Receipt):
        lines += platform_part(receipt.platform)
    return "\n".join(lines)


def head(receipt: CustomerReceipt) -> list[str]:
    """Return whose receipt this is, and the answer in a sentence."""
    return [
        *wrapped(f"RECEIPT {receipt.request_id}", COLUMNS),
        *sentence(receipt.summary),
        "",
        *pair("status", receipt.status),
        *pair("began", shown_instant(receipt.began_at)),
        *pair("workspace", receipt.workspace_id),
        *pair("project", receipt.project_id),
        *pair("API key", receipt.api_key_id),
        *pair("end user", receipt.end_user),
        *pair("workflow", receipt.workflow),
        *pair("run", receipt.run),
        *pair("step", receipt.step),
        *pair("trace", receipt.trace_id),
        *pair("model asked", receipt.model),
    ]


def why(receipt: CustomerReceipt) -> list[str]:
    """Return which wallet pays and how that came about."""
    route = receipt.route
    if route is None:
        return []
    lines = [
        *title("Which balance, and why"),
        *pair("wallet", f"{route.bucket} (in {route.unit})"),
        *pair("route", f"{route.route} (tier {route.tier}, model {route.model})"),
    ]
    for choice in receipt.choices:
        lines += pair("why", choice.text)
        for each in choice.skipped:
            lines += pair("skipped", f"{each.route}: {each.reason}")
    for policy in receipt.policies:
        # How the counts came about stands beside the counts.
        lines += [] if policy.policy in SETTLEMENT else pair("policy", policy.text)
    return lines


def happened(receipt: CustomerReceipt) -> list[str]:
    """Return the timeline. `#` is the place in the workspace's book."""
    lines = title("What happened (times in UTC, # is the place in the book)")
    for moment in receipt.timeline:
        day = "" if moment.at[:10] == receipt.began_at[:10] else f"On {moment.at[:10]}: "
        lines += pair(moment.at[11:23], f"{day}{moment.text} #{moment.position}")
    counts = ((receipt.attempts, "attempt"), (receipt.retries, "retry"), (receipt.fallbacks, "fallback"))
    lines += pair("in all", ", ".join(counted(count, noun) for count, noun in counts))
    if receipt.settlement is not None and receipt.settlement.first_token_ms is not None:
        lines += pair("first token", f"after {duration(receipt.settlement.first_token_ms)}")
    return lines


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 retry`, `2 retries`."""
    plural = noun.removesuffix("y") + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def used(usage: TokensUsed | None) -> list[str]:
    """Return the tokens by part, and where the counts come from."""
    if usage is None:
        return []
    rows = [(said(PARTS, each.part), each.model or "", f"{each.tokens:,}") for each in usage.parts]
    return [
        *title("Tokens"),
        *pair("answered by", usage.reported_model),
        *table(("part", "model", "count"), rows, left=2),
        *pair("in and out", f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"),
        *sentence(usage.text),
    ]


def worked_out(calculation: Calculation | None) -> list[str]:
    """Return the arithmetic line by line."""
    if calculation is None:
        return []
    rows = [row_of(line) for line in calculation.lines]
    total = ("sum", "", "", "", "", calculation.rated.value, value_of(calculation.list_price))
    lines = [
        *title(f"Arithmetic (in {calculation.rated.unit})"),
        *table(
            ("part", "model", "tokens", "per million", "exact", "amount", "list price", "discount"),
            [*rows, (*total, value_of(calculation.discount))],
            left=2,
        ),
        *sentence(calculation.text),
        *sentence(f"The rate card is valid from {shown_instant(calculation.valid_from)}."),
    ]
    for each in calculation.unpriced:
        model = f" of {each.model}" if each.model else ""
        lines += sentence(f"NOT PRICED: {each.tokens:,} {said(PARTS, each.part)}{model}: the card has no rate for it.")
    if calculation.model_mismatch:
        lines += sentence("The model that answered is none of the card's; it is priced as the route's own model.")
    return lines


def row_of(line: PricedLine) -> tuple[str, ...]:
    """Return a line's cells."""
    return (
        said(PARTS, line.part),
        line.model or "",
        f"{line.tokens:,}",
        line.rate,
        line.exact,
        line.amount.value,
        value_of(line.list_amount),
        value_of(line.discount),
    )


def value_of(amount: StatedAmount | None) -> str:
    """Return an amount without its unit, which stands above the table; empty where there is none."""
    return "" if amount is None else amount.value


def corrections(receipt: CustomerReceipt) -> list[str]:
    """Return the lines of charges that were worked out anew."""
    lines: list[str] = []
    for moment in receipt.timeline:
        if isinstance(moment, CorrectedMoment) and moment.lines:
            lines += title(f"Worked out anew at #{moment.position}")
            lines += pair("rate card", moment.rate_card)
            rows = [
                (said(PARTS, each.part), each.model or "", f"{each.tokens:,}", each.rate, each.amount.value)
                for each in moment.lines
            ]
            lines += table(
                ("part", "model", "tokens", "per million", f"amount in {moment.change.amount.unit}"), rows, left=2
            )
    return lines


def paid(receipt: CustomerReceipt) -> list[str]:
    """Return the totals of every wallet, each by itself."""
    lines: list[str] = []
    for totals in receipt.totals:
        lines += [*title(f"The {totals.bucket} wallet"), *wallet_lines(totals)]
    if receipt.settlement is not None:
        lines += sentence(receipt.settlement.text)
    return lines


def wallet_lines(totals: BucketTotals) -> list[str]:
    """Return what happened to one wallet; what is zero is left out, except for what was paid."""
    rows = (
        ("set aside", totals.held),
        ("went back", negated(totals.released)),
        ("taken from it", negated(totals.captured)),
        ("still set aside", totals.still_held),
        ("taken beside it", totals.from_available),
        ("corrected", totals.corrected),
        ("given back", negated(totals.refunded)),
    )
    shown = [(name, amount) for name, amount in rows if not is_zero(amount)] + [("paid in all", totals.paid)]
    return table(("", f"in {totals.paid.unit}"), [(name, amount.value) for name, amount in shown])


def booked(receipt: CustomerReceipt) -> list[str]:
    """Return what the book has of it. Posted is what is owned, held is what is set aside of it."""
    rows = [
        (
            f"#{each.position}",
            each.tag,
            each.bucket,
            of(each.posted_change),
            of(each.held_change),
            each.digest[:DIGEST_SHOWN],
        )
        for each in receipt.entries
    ]
    if not rows:
        return []
    header = ("place", "event", "wallet", "posted", "held", "digest")
    return [*title("In the book (change of what is owned, change of what is set aside)"), *table(header, rows, left=3)]


def platform_part(facts: PlatformFacts) -> list[str]:
    """Return what only the platform may see."""
    lines = [*title("For the platform only"), *pair("provider", facts.provider)]
    for each in facts.costs:
        cost = "unknown" if each.cost is None else of(each.cost)
        kind = "served" if each.served else "failed"
        lines += pair(f"attempt {each.attempt}", f"{kind} on route {each.route} ({each.provider}), cost {cost}")
    if facts.overrun is not None:
        lines += pair("overrun", f"{of(facts.overrun)} that no balance could pay")
    for source in facts.price_sources:
        converted = (
            f", in {source.source_unit} × {source.units_per_source_unit or '1'} × {source.factor or '1'}"
            if source.source_unit
            else ""
        )
        lines += pair("prices", f"{source.rate_card}: {source.source}{converted}")
        lines += pair("snapshot", source.snapshot_digest)
    for entry in facts.entries:
        for leg in entry.legs:
            lines += pair(
                f"#{entry.position} {entry.bucket}",
                f"{of(leg.amount)} from {leg.credit_account} to {leg.debit_account}",
            )
    lines += acts_part(facts)
    return lines


def acts_part(facts: PlatformFacts) -> list[str]:
    """Return who caused each event."""
    lines: list[str] = []
    for act in facts.acts:
        reason = "" if act.reason is None else f": {act.reason}"
        lines += pair(f"#{act.position} by", f"{act.actor}, as {act.command_id}{reason}")
    return lines


def shown_instant(text: str) -> str:
    """Return an instant to the second, in words."""
    return f"{text[:10]} {text[11:19]} UTC"
