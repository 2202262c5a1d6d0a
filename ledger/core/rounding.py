"""Named rounding: the only places where a quotient becomes an integer of smallest parts."""

from enum import StrEnum

from ledger.core.refusals import Refusal, Refused


class Rounding(StrEnum):
    """How an exact quotient becomes an integer. The name is recorded wherever one was used."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    UP = "up"
    DOWN = "down"


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Return numerator ÷ denominator as an integer. The denominator is positive.

    `up` and `down` mean away from and towards zero, so that the sign of an amount never changes
    how its size is rounded; `half_up` rounds ties away from zero.
    """
    if denominator <= 0:
        raise Refused(Refusal.NUMBER_OUT_OF_RANGE, "a denominator must be positive")
    if numerator < 0:
        return -divide(-numerator, denominator, rounding)
    quotient, remainder = divmod(numerator, denominator)
    if remainder == 0 or rounding is Rounding.DOWN:
        return quotient
    if rounding is Rounding.UP:
        return quotient + 1
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and (rounding is Rounding.HALF_UP or quotient % 2 == 1)):
        return quotient + 1
    return quotient
