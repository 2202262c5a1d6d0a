"""Units and amounts: an integer count of a unit's smallest part, never a float.

Arithmetic between two units raises. Text from outside becomes an amount in one place, `parse_amount`.
"""

import re

import msgspec

from ledger.core.refusals import Refusal, Refused

AMOUNT_MINOR_MAX = 10**17
"""The largest amount one command may name, in smallest parts."""

BALANCE_MINOR_MAX = 10**18
"""No balance passes this. Two such balances still fit a signed 64-bit integer."""

SCALE_MAX = 9
UNIT_PATTERN = re.compile(r"[A-Z]{2,24}\Z")
VALUE_PATTERN = re.compile(r"(-?)(0|[1-9][0-9]{0,17})(?:\.([0-9]{1,9}))?\Z")
VALUE_JSON_PATTERN = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$(?!\n)"
"""The same in the dialect that JSON Schema and Python's `re.search` share."""


class UnitMismatch(ArithmeticError):
    """Two units met in one sum. Always a defect of the program, never of its input."""


class Unit(msgspec.Struct, frozen=True):
    """A unit's code and the number of decimal digits that its smallest part has."""

    code: str
    scale: int


class Amount(msgspec.Struct, frozen=True):
    """An integer count of a unit's smallest part, with the unit's code."""

    minor: int
    unit: str

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.minor + same_unit(self, other).minor, self.unit)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.minor - same_unit(self, other).minor, self.unit)

    def __neg__(self) -> "Amount":
        return Amount(-self.minor, self.unit)

    def __lt__(self, other: "Amount") -> bool:
        return self.minor < same_unit(self, other).minor

    def __le__(self, other: "Amount") -> bool:
        return self.minor <= same_unit(self, other).minor


class StatedAmount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount as it is written: decimal text and unit, `{"value": "1.25", "unit": "CREDIT"}`."""

    value: str
    unit: str


def same_unit(left: Amount, right: Amount) -> Amount:
    """Return the right amount when both are in one unit, else raise UnitMismatch."""
    if left.unit != right.unit:
        raise UnitMismatch(f"{left.unit} and {right.unit} cannot be added or compared")
    return right


def parse_amount(
    stated: StatedAmount, unit: Unit, field: str = "amount", *, signed: bool = False, zero: bool = False
) -> Amount:
    """Return the amount that a text states, exact to the smallest part of the unit.

    Refused: another unit, anything but plain decimal digits, more digits than the unit's scale, a value
    out of range, a negative value unless `signed`, and zero unless `zero`.
    """
    if stated.unit != unit.code:
        raise Refused(
            Refusal.UNIT_MISMATCH,
            f"{field} is in {stated.unit[:24]!r}, but the unit here is {unit.code}",
            field=field,
            expected=unit.code,
        )
    minor = parse_minor(stated.value, unit.scale, field)
    if (minor < 0 and not signed) or (minor == 0 and not zero):
        kind = "other than zero" if signed else "zero or greater" if zero else "greater than zero"
        raise Refused(Refusal.AMOUNT_NOT_POSITIVE, f"{field} must be {kind}", field=field)
    return Amount(minor, unit.code)


def parse_minor(text: str, scale: int, field: str = "amount") -> int:
    """Return the count of smallest parts that a decimal text states; refused when it is not exact."""
    match = VALUE_PATTERN.match(text)
    if match is None:
        raise Refused(
            Refusal.AMOUNT_MALFORMED,
            f"{field} must be decimal digits such as '1.25': at most 18 before the point and 9 behind it, "
            "no exponent, no leading zeros, no spaces",
            field=field,
        )
    sign, whole, fraction = match.groups(default="")
    if len(fraction) > scale:
        raise Refused(
            Refusal.AMOUNT_MALFORMED,
            f"{field} has more than {scale} decimal digits",
            field=field,
            scale=scale,
        )
    minor = int(whole + fraction.ljust(scale, "0"))
    if minor > AMOUNT_MINOR_MAX:
        raise Refused(Refusal.AMOUNT_OUT_OF_RANGE, f"{field} is larger than one command may name", field=field)
    return -minor if sign else minor


def format_minor(minor: int, scale: int) -> str:
    """Return decimal text at the unit's full scale: `format_minor(1250000, 6)` is `'1.250000'`."""
    digits = str(abs(minor)).rjust(scale + 1, "0")
    sign = "-" if minor < 0 else ""
    if scale == 0:
        return sign + digits
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def count_minor(stated: StatedAmount) -> int:
    """Return the smallest parts of an amount that `state_amount` wrote: at full scale, so that it need not be known."""
    return int(stated.value.replace(".", ""))


def state_amount(minor: int, unit: Unit) -> StatedAmount:
    """Return an amount as it is written on the wire, at full scale."""
    return StatedAmount(format_minor(minor, unit.scale), unit.code)
