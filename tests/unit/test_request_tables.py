"""Lines of the route ledger as CSV: columns, units, quotes, formulas."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.core.amounts import StatedAmount
from ledger.pricing.usage import PARTS
from projections.route_ledger.answers import CustomerRequestLine, RequestLine
from projections.route_ledger.shown import customer_line, request_line
from projections.route_ledger.tables import COLUMNS, PLATFORM_COLUMNS, csv_header, csv_rows, text_of
from tests.unit.request_rows import CATALOG, request_row

LINE = request_line(request_row(), CATALOG)
SHOWN = customer_line(request_row(), CATALOG)
texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)


def read(line: CustomerRequestLine, *, for_excel: bool = False) -> dict[str, str]:
    """Return a line's row by column, as a reader of CSV finds it."""
    header = csv_header(for_platform=isinstance(line, RequestLine))
    (row,) = csv.DictReader(io.StringIO(header + csv_rows([line], for_excel=for_excel), newline=""), strict=True)
    return row


def test_every_amount_has_its_unit_beside_it() -> None:
    """A customer's amounts are in `unit`, costs and overrun in columns of their own, two units of cost in one list."""
    row = read(LINE)
    assert [row[name] for name in ("unit", "held", "charge", "list_price", "discount", "waived", "corrected")] == [
        "CREDIT", "0.000000", "0.009000", "0.012500", "0.002500", "0.000200", "-0.000800",
    ]  # fmt: skip
    assert (row["cost_unit"], row["cost"]) == ("USD", "0.004000000")
    assert (row["overrun_unit"], row["overrun"]) == ("CREDIT", "0.002500")
    assert row["failed_costs"] == "0.001000000 USD; 0.020000 CNY"


def test_all_columns_of_amounts_stand_behind_a_unit() -> None:
    """Between `unit` and `paid` stand amounts in that unit and nothing else; every other amount follows its own."""
    amounts = {name for name in CustomerRequestLine.__struct_fields__ if isinstance(getattr(LINE, name), StatedAmount)}
    at = COLUMNS.index("unit")
    assert set(COLUMNS[at + 1 : at + 1 + len(amounts)]) == amounts
    for name in ("cost", "overrun"):
        assert PLATFORM_COLUMNS[PLATFORM_COLUMNS.index(name) - 1] == f"{name}_unit"


def test_every_field_of_a_line_has_a_column() -> None:
    """Nothing that a line tells is missing; the list of tokens is a column for each part."""
    assert set(COLUMNS) - set(CustomerRequestLine.__struct_fields__) == {f"tokens_{part}" for part in PARTS}
    assert set(CustomerRequestLine.__struct_fields__) - set(COLUMNS) == {"tokens"}


def test_tokens_of_a_part_are_counted_over_models() -> None:
    """The same part of another model is added; a part that was not used is 0, of an open request it is not known."""
    row = read(LINE)
    assert (row["tokens_uncached_input"], row["tokens_text_output"], row["tokens_reasoning"]) == ("1100", "10", "0")
    assert read(replace(LINE, input_tokens=None, tokens=[]))["tokens_reasoning"] == ""


def test_a_customers_row_has_no_column_of_the_platform() -> None:
    """Header and cells are those of a customer."""
    assert csv_header(for_platform=False) == ",".join(COLUMNS) + "\r\n"
    assert read(SHOWN).keys() == set(COLUMNS)
    assert "openai" not in csv_rows([SHOWN])


@given(texts, texts)
def test_any_text_comes_back(workflow: str, step: str) -> None:
    """Commas, quotes and every other character of a label are read back as they were, and rows end as they must."""
    row = read(replace(LINE, workflow=workflow, step=step))
    assert (row["workflow"], row["step"]) == (workflow, step)
    assert csv_rows([LINE, LINE]).count("\r\n") == 2


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r"])
def test_what_looks_like_a_formula_is_made_text_when_asked(start: str) -> None:
    """Only with `for_excel`, only at the beginning, and never a number."""
    formula = f"{start}HYPERLINK(1)"
    assert text_of(formula, for_excel=True) == f"'{formula}"
    assert text_of(formula, for_excel=False) == formula
    assert text_of(f"a{formula}", for_excel=True) == f"a{formula}"
    assert text_of(StatedAmount("-0.5", "CREDIT"), for_excel=True) == "-0.5"
    assert text_of(-1, for_excel=True) == "-1"


def test_no_cell_of_a_row_is_a_formula_when_asked() -> None:
    """Lists are made safe like other texts."""
    row = read(replace(LINE, terms=["=1"], rule="@x", workflow="-2"), for_excel=True)
    assert (row["terms"], row["rule"], row["workflow"]) == ("'=1", "'@x", "'-2")
