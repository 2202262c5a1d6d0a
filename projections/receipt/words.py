"""Plain words for the closed lists that events speak in, and the sentences of a receipt made of them."""

from collections.abc import Sequence

from ledger.core.amounts import StatedAmount
from projections.receipt.moments import (
    AnyMoment,
    AttemptFailedMoment,
    CorrectedMoment,
    FallbackMoment,
    HoldExtendedMoment,
    HoldPlacedMoment,
    InBucket,
    Posted,
    RefundedMoment,
    ReleasedMoment,
    SettledMoment,
    VoidedMoment,
)
from projections.stated import is_zero, negated

FAILURES = {
    "timeout": "no answer came in time",
    "connection": "no connection could be made, or it broke",
    "rate_limited": "the upstream took no more requests for the moment",
    "overloaded": "the upstream was overloaded",
    "server_error": "the upstream failed",
    "bad_response": "the answer could not be read",
    "stream_cut": "the answer broke off",
    "context_window": "the prompt was too long for the model",
    "refused_content": "the upstream refused the content",
    "authentication": "the upstream did not accept the platform's key",
    "upstream_account_empty": "the platform's own account at the provider was empty",
    "invalid_request": "the upstream called the request invalid",
    "cancelled": "the caller went away",
    "circuit_open": "the route had failed too often and was resting",
    "insufficient_hold": "the hold did not cover it",
    "other": "the upstream could not serve it",
}
SOURCES = {
    "reported": "The upstream reported these counts.",
    "partial": "The upstream reported a part of these counts; the rest is estimated.",
    "estimated": "The upstream reported no counts; these are estimated.",
}
POLICIES = {
    "complete": "The answer was complete.",
    "client_gone_drained": "The caller went away; the rest of the answer was read all the same, to know what it used.",
    "client_gone_estimated": (
        "The caller went away before the answer was complete; what had been delivered is counted, and the charge stays"
        " within the hold."
    ),
    "stream_cut_estimated": (
        "The answer broke off after its beginning; what had been delivered is counted, and the charge stays within the"
        " hold."
    ),
    "usage_missing_estimated": (
        "The answer came without counts; they are estimated, and the charge stays within the hold."
    ),
    "report_doubted": "These counts can hardly be right; they are charged as reported, but at most up to the hold.",
}
RELEASES = {
    "failed": "because the request failed",
    "cancelled": "because the request was given up",
    "expired": "because its time had passed without a word from the gateway",
}
CORRECTIONS = {
    "estimate_replaced": "the real counts replaced an estimate",
    "unpriced_priced": "what had no price got one",
    "rerated": "it was worked out anew with another price",
    "mistake": "a mistake was put right",
}
ROUNDINGS = {
    "half_even": "to the nearest, halves to the even digit",
    "half_up": "to the nearest, halves up",
    "up": "up",
    "down": "down",
}
PARTS = {
    "uncached_input": "input",
    "cache_read": "input read from cache",
    "cache_write_5m": "input written to cache, 5 min",
    "cache_write_1h": "input written to cache, 1 h",
    "audio_input": "audio input",
    "audio_cache_read": "audio read from cache",
    "image_input": "image input",
    "video_input": "video input",
    "text_output": "output",
    "reasoning": "reasoning",
    "audio_output": "audio output",
    "image_output": "image output",
    "requests": "requests",
    "web_searches": "web searches",
    "tool_calls": "tool calls",
}
WAIVED = "are waived: they are not taken, now or later"


def said(words: dict[str, str], code: str) -> str:
    """Return the words for a code; one of a newer ledger is shown as it is."""
    return words.get(code, code.replace("_", " "))


def of(amount: StatedAmount) -> str:
    """Return an amount as people write it."""
    return f"{amount.value} {amount.unit}"


def in_wallet(money: InBucket) -> str:
    """Return an amount with the wallet that it is in."""
    return f"{of(money.amount)} of the {money.bucket} wallet"


def duration(milliseconds: int) -> str:
    """Return a duration as people say it: `840 ms`, `30.0 s`."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    tenths = (milliseconds + 50) // 100
    return f"{tenths // 10}.{tenths % 10} s"


def choice_text(route: str, bucket: str, rule: str, *, moved: bool) -> str:
    """Return why a request burns a wallet: the route settles there, and a rule chose the route."""
    begun = "moved to" if moved else "went to"
    return f"The request {begun} route {route} by the rule “{rule}”; route {route} is paid from the {bucket} wallet."


def usage_text(source: str, policy: str | None, terms: Sequence[str]) -> str:
    """Return where counts come from, by which policy they were settled, and under what terms the upstream billed."""
    texts = [said(SOURCES, source)]
    if policy is not None:
        texts.append(said(POLICIES, policy))
    if terms:
        texts.append(f"The upstream billed under terms that the rate card does not name: {', '.join(terms)}.")
    return " ".join(texts)


def calculation_text(rate_card: str, rounding: str) -> str:
    """Return how lines are made."""
    return (
        f"Each line is tokens × rate ÷ 1,000,000 by rate card {rate_card}, rounded {said(ROUNDINGS, rounding)}, "
        "once per line."
    )


def text_of(moment: AnyMoment) -> str:
    """Return a moment in words, made of its own fields alone."""
    if isinstance(moment.posted, Posted):
        return f"{sentence_of(moment)} Served {moment.at}, posted in the period of {moment.posted.period}."
    return sentence_of(moment)


def sentence_of(moment: AnyMoment) -> str:
    """Return what happened as a sentence."""
    match moment:
        case HoldPlacedMoment():
            return f"{in_wallet(moment.hold)} were set aside for route {moment.route}."
        case HoldExtendedMoment():
            return extension_text(moment)
        case AttemptFailedMoment():
            return failure_text(moment)
        case FallbackMoment():
            return fallback_text(moment)
        case SettledMoment():
            return (
                f"Attempt {moment.attempt} on route {moment.route} answered in {duration(moment.latency_ms)}; "
                f"{of(moment.charge.amount)} were charged to the {moment.charge.bucket} wallet."
            )
        case ReleasedMoment():
            return f"{in_wallet(moment.released)} went back {said(RELEASES, moment.cause)}."
        case VoidedMoment():
            return f"The request ended before its hold arrived, {said(RELEASES, moment.cause)}; nothing was set aside."
        case RefundedMoment():
            return f"{of(moment.refund.amount)} were given back to the {moment.refund.bucket} wallet."
        case CorrectedMoment():
            return correction_text(moment)
    raise TypeError(f"{type(moment).__name__} is no moment")


def extension_text(moment: HoldExtendedMoment) -> str:
    """Return an extension as a sentence."""
    if is_zero(moment.hold.amount):
        return f"The hold was given more time: {moment.why}."
    return f"{in_wallet(moment.hold)} were set aside in addition: {moment.why}."


def failure_text(moment: AttemptFailedMoment) -> str:
    """Return a failed attempt as a sentence."""
    status = "" if moment.http_status is None else f" (HTTP {moment.http_status})"
    then = "It was tried again on the same route" if moment.retried else "It was not tried again there"
    return (
        f"Attempt {moment.attempt} on route {moment.route} failed after {duration(moment.latency_ms)}: "
        f"{said(FAILURES, moment.failure)}{status}. {then}; nothing is charged for it."
    )


def fallback_text(moment: FallbackMoment) -> str:
    """Return a fallback as a sentence, which says at once whether another wallet pays from now on."""
    moved = f"Moved from route {moment.from_route} to {moment.to_route}: {said(FAILURES, moment.failure)}."
    hold, released = moment.hold, moment.released
    if hold.bucket == released.bucket:
        return f"{moved} The hold is now {in_wallet(hold)}; the one of {of(released.amount)} went back."
    return f"{moved} ANOTHER WALLET PAYS: {in_wallet(released)} went back, {in_wallet(hold)} were set aside instead."


def correction_text(moment: CorrectedMoment) -> str:
    """Return a correction as a sentence."""
    amount = moment.change.amount
    why = said(CORRECTIONS, moment.cause)
    waived = "" if moment.waived is None else f" {of(moment.waived.amount)} of what it comes to now {WAIVED}."
    if is_zero(amount):
        return f"The charge was worked out anew, {why}; nothing changed for the {moment.change.bucket} wallet.{waived}"
    if amount.value.startswith("-"):
        return f"The charge to the {moment.change.bucket} wallet fell by {of(negated(amount))}: {why}.{waived}"
    return f"The charge to the {moment.change.bucket} wallet rose by {of(amount)}: {why}.{waived}"
