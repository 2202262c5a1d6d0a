"""Stated amounts at full scale, added and compared within one unit. Two units never meet: that raises."""

from functools import reduce

from ledger.core.amounts import StatedAmount, UnitMismatch, count_minor, format_minor

ZERO_DIGITS = "-0."


def is_zero(amount: StatedAmount) -> bool:
    """Return whether an amount is nothing."""
    return not amount.value.strip(ZERO_DIGITS)


def negated(amount: StatedAmount) -> StatedAmount:
    """Return an amount with the other sign."""
    if is_zero(amount):
        return amount
    minus = amount.value.startswith("-")
    return StatedAmount(amount.value[1:] if minus else f"-{amount.value}", amount.unit)


def plus(left: StatedAmount, right: StatedAmount) -> StatedAmount:
    """Return the sum of two amounts of one unit."""
    if left.unit != right.unit or scale_of(left) != scale_of(right):
        raise UnitMismatch(f"{left.unit} and {right.unit} cannot be added")
    return StatedAmount(format_minor(count_minor(left) + count_minor(right), scale_of(left)), left.unit)


def is_more(left: StatedAmount, *right: StatedAmount) -> bool:
    """Return whether an amount is more than the sum of others in its unit."""
    return count_minor(plus(left, negated(reduce(plus, right)))) > 0


def scale_of(amount: StatedAmount) -> int:
    """Return how many decimal digits an amount's text has."""
    return len(amount.value.partition(".")[2])
