"""A statement as a page of HTML that stands alone and prints well. Every text is escaped by the template engine."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from projections.stated import is_zero
from projections.statements.answers import Statement
from projections.statements.words import CHANGE_WORDS, minute_of, other_text, paid_text, status_text

__all__ = ["statement_sheet"]

_environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_environment.filters |= {"minute": minute_of, "paid": paid_text, "other": other_text}
_environment.tests["zero"] = is_zero
_template = _environment.from_string(
    files("projections.statements").joinpath("statement.html").read_text(encoding="utf-8")
)


def statement_sheet(statement: Statement) -> str:
    """Return the page."""
    changes = [(words, getattr(statement.changes, name)) for name, words in CHANGE_WORDS.items()]
    return _template.render(statement=statement, changes=changes, status=status_text(statement))
