"""Units, amounts and rounding: every number against an oracle in decimals or fractions."""

import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.core.amounts import (
    AMOUNT_MINOR_MAX,
    BALANCE_MINOR_MAX,
    VALUE_JSON_PATTERN,
    VALUE_PATTERN,
    Amount,
    StatedAmount,
    Unit,
    UnitMismatch,
    count_minor,
    format_minor,
    parse_amount,
    parse_minor,
    state_amount,
)
from ledger.core.refusals import Refusal, Refused
from ledger.core.rounding import Rounding, divide
from tests import strategies as drawn

DECIMAL_ROUNDINGS = {
    Rounding.HALF_EVEN: ROUND_HALF_EVEN, Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.UP: ROUND_UP, Rounding.DOWN: ROUND_DOWN,
}  # fmt: skip
CREDIT = Unit("CREDIT", 6)


def refusal_of(value: str, unit: Unit = CREDIT, stated_in: str = "", **allowed: bool) -> Refusal:
    """Return the refusal that parsing a value meets."""
    with pytest.raises(Refused) as refused:
        parse_amount(StatedAmount(value, stated_in or unit.code), unit, "hold", **allowed)
    assert refused.value.facts["field"] == "hold"
    return refused.value.code


@given(drawn.minors, drawn.units)
def test_parsing_undoes_formatting(minor: int, unit: Unit) -> None:
    """What is written at full scale is read back as the same amount, and means that number."""
    stated = state_amount(minor, unit)
    assert parse_amount(stated, unit, signed=True, zero=True) == Amount(minor, unit.code)
    assert Fraction(stated.value) == Fraction(minor, 10**unit.scale)
    assert len(stated.value.partition(".")[2]) == unit.scale
    assert count_minor(stated) == minor


@given(drawn.minors, drawn.units, st.integers(0, 9))
def test_fewer_decimals_mean_the_same(minor: int, unit: Unit, kept: int) -> None:
    """An amount written with fewer decimals than its unit has is exact or refused, never rounded."""
    with localcontext(prec=60):
        short = f"{Decimal(minor).scaleb(-unit.scale):.{kept}f}"
    if kept > unit.scale:
        assert refusal_of(short, unit, signed=True, zero=True) is Refusal.AMOUNT_MALFORMED
    else:
        assert Fraction(parse_minor(short, unit.scale), 10**unit.scale) == Fraction(short)


@given(drawn.any_text | drawn.hostile_texts, drawn.scales)
@example("1\n", 2)
@example("１２", 2)
@example("²", 0)
def test_only_plain_decimal_digits_are_read(text: str, scale: int) -> None:
    """Any text is either plain ASCII decimal digits with an exact value, or refused by name."""
    try:
        minor = parse_minor(text, scale, "charge")
    except Refused as refused:
        found = refused
        assert found.code in (Refusal.AMOUNT_MALFORMED, Refusal.AMOUNT_OUT_OF_RANGE)
        assert found.facts["field"] == "charge"
    else:
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text, re.ASCII)
        assert Fraction(text) == Fraction(minor, 10**scale)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1\n", "+1", "--1", "1.", ".5", "1e3", "1E3", "NaN", "nan", "inf", "Infinity", "0x1", "1_0", "01",
     "00", "1,5", "1.2.3", "１", "٣", "1\0", "9" * 19, "9" * 20, "1.1234567", "0." + "0" * 10, "−1"],
)  # fmt: skip
def test_malformed_values_are_refused(text: str) -> None:
    """Not-a-number, exponents, signs, spaces, foreign digits, twenty digits and too many decimals are refused."""
    assert refusal_of(text, signed=True, zero=True) is Refusal.AMOUNT_MALFORMED


@given(drawn.any_text | st.from_regex(VALUE_PATTERN) | drawn.hostile_texts)
def test_the_published_pattern_is_the_one_that_is_applied(text: str) -> None:
    """The pattern for JSON Schema accepts exactly what the parser's own accepts."""
    assert (re.search(VALUE_JSON_PATTERN, text) is None) == (VALUE_PATTERN.match(text) is None)


@given(drawn.minors)
def test_sign_and_zero_are_allowed_only_in_words(minor: int) -> None:
    """A negative amount needs `signed`, a zero needs `zero`; nothing else decides."""
    text = format_minor(minor, 6)
    for signed in (False, True):
        for zero in (False, True):
            if (minor < 0 and not signed) or (minor == 0 and not zero):
                assert refusal_of(text, signed=signed, zero=zero) is Refusal.AMOUNT_NOT_POSITIVE
            else:
                stated = StatedAmount(text, "CREDIT")
                assert parse_amount(stated, CREDIT, signed=signed, zero=zero).minor == minor


@given(st.integers(AMOUNT_MINOR_MAX - 2, AMOUNT_MINOR_MAX + 2), st.sampled_from((0, 6, 9)))
def test_an_amount_has_a_largest_value(minor: int, scale: int) -> None:
    """One command names at most the limit, in either direction; the limit itself is allowed."""
    for sign in ("", "-"):
        text = sign + format_minor(minor, scale)
        if minor > AMOUNT_MINOR_MAX:
            assert refusal_of(text, Unit("XX", scale), signed=True) is Refusal.AMOUNT_OUT_OF_RANGE
        else:
            assert abs(parse_minor(text, scale)) == minor


def test_two_largest_balances_fit_a_signed_64_bit_integer() -> None:
    """No sum or difference of two balances, nor a balance with an amount, can overflow a bigint."""
    assert 2 * BALANCE_MINOR_MAX + AMOUNT_MINOR_MAX < 2**63


def test_another_unit_is_refused() -> None:
    """A value in another unit than the bucket's is refused, whatever the digits say."""
    assert refusal_of("1", stated_in="CNY") is Refusal.UNIT_MISMATCH
    assert refusal_of("nonsense", stated_in="credit") is Refusal.UNIT_MISMATCH


@given(drawn.minors, drawn.minors)
def test_amounts_of_one_unit_add_and_compare_like_integers(left: int, right: int) -> None:
    """Within a unit, arithmetic and order are those of the counts of smallest parts."""
    one, other = Amount(left, "CREDIT"), Amount(right, "CREDIT")
    assert (one + other).minor == left + right
    assert (one - other).minor == left - right
    assert (-one).minor == -left
    assert ((one < other), (one <= other), (one > other), (one >= other)) == (
        left < right, left <= right, left > right, left >= right,
    )  # fmt: skip


@given(drawn.minors, drawn.minors)
def test_amounts_of_two_units_never_meet(left: int, right: int) -> None:
    """Adding, subtracting or ordering amounts of two units raises, even at zero; they are never equal."""
    one, other = Amount(left, "CREDIT"), Amount(right, "CNY")
    for meet in (
        lambda: one + other, lambda: one - other, lambda: one < other, lambda: one <= other,
        lambda: one > other, lambda: one >= other,
    ):  # fmt: skip
        with pytest.raises(UnitMismatch):
            meet()
    assert one != Amount(left, "CNY")


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20), drawn.roundings)
def test_division_rounds_as_its_name_says(numerator: int, denominator: int, rounding: Rounding) -> None:
    """Each named rounding agrees with the decimal module, on both sides of zero."""
    with localcontext(prec=200) as context:
        quotient = Fraction(numerator, denominator)
        exact = Decimal(numerator) / Decimal(denominator)
        context.prec = 100
        expected = int(exact.quantize(Decimal(1), rounding=DECIMAL_ROUNDINGS[rounding]))
    assert divide(numerator, denominator, rounding) == expected
    assert abs(expected - quotient) < 1


@given(st.integers(-(10**12), 10**12), st.integers(1, 50), drawn.roundings)
def test_ties_are_rounded_as_the_name_says(whole: int, half: int, rounding: Rounding) -> None:
    """Exactly one half goes to even, away from zero, up or down, mirrored around zero."""
    numerator = (2 * whole + 1) * half
    expected = Fraction(numerator, 2 * half)
    down, up = sorted((whole, whole + 1), key=abs)
    even = down if down % 2 == 0 else up
    wanted = {Rounding.HALF_EVEN: even, Rounding.HALF_UP: up, Rounding.UP: up, Rounding.DOWN: down}
    assert divide(numerator, 2 * half, rounding) == wanted[rounding]
    assert divide(-numerator, 2 * half, rounding) == -wanted[rounding]
    assert abs(expected - wanted[rounding]) == Fraction(1, 2)


@pytest.mark.parametrize("denominator", [0, -1])
def test_a_denominator_must_be_positive(denominator: int) -> None:
    """Division by nothing, or by less, is refused instead of raising."""
    with pytest.raises(Refused) as refused:
        divide(1, denominator, Rounding.UP)
    assert refused.value.code is Refusal.NUMBER_OUT_OF_RANGE
