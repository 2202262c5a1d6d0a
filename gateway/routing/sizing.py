"""How much a call may cost at most: the estimate, the hold, and the output that a small balance affords. Pure.

The estimate is meant to be too high, because a hold that is too small becomes the platform's loss: text counts by
its bytes divided by two, so that Chinese (three bytes a character, about one token) is covered too.
"""

from collections.abc import Sequence

import msgspec

from gateway.dialects.calls import CallBody
from gateway.routing.candidates import Target
from gateway.settings import Hold as HoldSettings
from ledger.core.amounts import AMOUNT_MINOR_MAX
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates, RateCard, parse_rate
from ledger.request.events import Estimate

INPUT_PARTS = ("uncached_input", "cache_read", "cache_write_5m", "cache_write_1h", "image_input", "video_input")
AUDIO_INPUT_PARTS = ("audio_input", "audio_cache_read")
OUTPUT_PARTS = ("text_output", "reasoning", "image_output")
AUDIO_OUTPUT_PARTS = ("audio_output",)
PLACES = 12
"""A rate has at most so many decimal places, so that rates are whole numbers of its last one."""

PER_MILLION = 6

SOUND_BYTES_PER_TOKEN = 100
"""Base64 of compressed sound for one token: ten tokens a second, as OpenAI counts, are covered from 8 kbit/s on."""


class Dearest(msgspec.Struct, frozen=True):
    """The highest rates of a card, in 10^-12 of the bucket's unit per million tokens, and what rounding may add."""

    input: int
    output: int
    input_rounding: int
    output_rounding: int


_known: dict[tuple[int, int, bool], tuple[RateCard, Dearest]] = {}
"""What was found of cards before, each with the card itself, so that its number in memory is not another's."""

KNOWN_MAX = 4096


def dearest_of(card: RateCard, scale: int, *, audio: bool = False) -> Dearest:
    """Return the highest rate of a card for input and for output, over all its models, in a unit with that scale."""
    known = _known.get((id(card), scale, audio))
    if known is not None:
        return known[1]
    dearest = find_dearest(card, scale, audio=audio)
    if len(_known) >= KNOWN_MAX:
        _known.clear()
    _known[id(card), scale, audio] = (card, dearest)
    return dearest


def find_dearest(card: RateCard, scale: int, *, audio: bool) -> Dearest:
    """Return the same from the card itself, rate by rate."""
    input_parts = INPUT_PARTS + AUDIO_INPUT_PARTS if audio else INPUT_PARTS
    output_parts = OUTPUT_PARTS + AUDIO_OUTPUT_PARTS if audio else OUTPUT_PARTS
    return Dearest(
        highest(card, input_parts),
        highest(card, output_parts),
        rounding_minor(card, input_parts, scale),
        rounding_minor(card, output_parts, scale),
    )


def highest(card: RateCard, parts: Sequence[str]) -> int:
    """Return the highest of some parts' rates; 0 where the card has none of them."""
    return max((rate for model in card.models for rate in rates_of(model, parts)), default=0)


def rates_of(model: ModelRates, parts: Sequence[str]) -> list[int]:
    """Return a model's rates of some parts, as far as it has them."""
    rates = [parse_rate(model.rates[part]) for part in parts if part in model.rates]
    return [mantissa * 10 ** (PLACES - places) for mantissa, places in rates]


def rounding_minor(card: RateCard, parts: Sequence[str], scale: int) -> int:
    """Return by how many smallest parts one model's lines can pass their exact sum, itself rounded up.

    A charge is rounded line by line. A line whose rate is a whole number of smallest parts a token is exact.
    """
    if card.rounding is Rounding.DOWN:
        return 0
    whole = int(10 ** (PLACES + PER_MILLION - scale))
    lines = max(sum(rate % whole > 0 for rate in rates_of(model, parts)) for model in card.models)
    return max(0, lines - 1) if card.rounding is Rounding.UP else lines // 2


def cost_minor(tokens: int, rate: int, rounding: int, scale: int) -> int:
    """Return what tokens cost at a rate at most, in smallest parts of a unit with that scale, rounded up."""
    return rounding - (-tokens * rate * 10**scale // 10 ** (PLACES + PER_MILLION)) if tokens else 0


def estimate_input(call: CallBody, settings: HoldSettings) -> int:
    """Return how many tokens a call's input has at most, as far as its bytes tell.

    Sound counts as one image and by its length. What the call only names counts as much as the settings say.
    """
    media = call.images + call.has_audio
    return (
        -(-(call.text_bytes + call.uncounted_bytes) // settings.bytes_per_token)
        + -(-call.sound_bytes // SOUND_BYTES_PER_TOKEN)
        + media * settings.tokens_per_image
        + call.references * settings.tokens_per_reference
    )


def output_limit_of(call: CallBody, target: Target, settings: HoldSettings) -> int:
    """Return how many tokens one answer may have on a route: the caller's limit, else the route's, else the default."""
    if call.interface == "embeddings":
        return 0
    return call.output_limit or target.route.default_output_limit or settings.default_output_limit


def estimate_of(call: CallBody, target: Target, settings: HoldSettings) -> Estimate:
    """Return the tokens that a hold for a target is sized for."""
    return Estimate(estimate_input(call, settings), output_limit_of(call, target, settings) * call.choices)


def hold_minor(call: CallBody, targets: Sequence[Target], settings: HoldSettings, scale: int) -> int:
    """Return a hold that covers the dearest of some targets of one bucket.

    Never 0, which holds nothing, and never more than one command may name: no balance covers that.
    """
    needed = max(1, *(cost_of(call, target, settings, scale) for target in targets))
    return min(needed, AMOUNT_MINOR_MAX)


def cost_of(call: CallBody, target: Target, settings: HoldSettings, scale: int) -> int:
    """Return what a call costs on a target at most, in smallest parts."""
    rates = dearest_of(target.card, scale, audio=call.has_audio)
    estimate = estimate_of(call, target, settings)
    return cost_minor(estimate.input_tokens, rates.input, rates.input_rounding, scale) + cost_minor(
        estimate.output_tokens, rates.output, rates.output_rounding, scale
    )


def affordable_output_limit(
    call: CallBody, targets: Sequence[Target], available_minor: int, settings: HoldSettings, scale: int
) -> int | None:
    """Return the output limit whose hold fits into what is available; None where that would say nothing.

    An answer shorter than `minimum_output_limit`, or than the caller's own limit where that is lower, is no use; nor is
    one in which the thinking that the caller wants would leave no room for words.
    """
    if available_minor < 1:
        return None
    limits = []
    for target in targets:
        rates = dearest_of(target.card, scale, audio=call.has_audio)
        spent = cost_minor(estimate_input(call, settings), rates.input, rates.input_rounding, scale)
        left = available_minor - spent - rates.output_rounding
        wanted = output_limit_of(call, target, settings)
        if left < 0 or wanted == 0:
            return None
        if rates.output:
            afforded = left * 10 ** (PLACES + PER_MILLION) // (rates.output * 10**scale) // call.choices
            limits.append(min(wanted, afforded))
        else:
            limits.append(wanted)
    affordable = min(limits, default=0)
    lowest = min([settings.minimum_output_limit] + ([call.output_limit] if call.output_limit else []))
    is_lowered = call.output_limit is None or affordable < call.output_limit
    if is_lowered and call.thinking_budget is not None and affordable <= call.thinking_budget:
        return None
    return affordable if affordable >= lowest else None
