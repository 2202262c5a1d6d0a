"""An explanation as a page for a person: plain text of at most 100 columns, words before figures. Pure."""

from collections.abc import Iterator

from projections.change.answers import (
    Change,
    ChangeAnswer,
    ChangeGroup,
    ChangeOfPlace,
    ChangeReason,
    ChangeTerm,
    TermPart,
)
from projections.change.behind import in_utc
from projections.change.sentences import other_side
from projections.change.words import counted, span_text, with_sign
from projections.layout import pair, sentence, table, title
from projections.stated import is_zero

__all__ = ["MOVES_MAX", "change_page"]

MOVES_MAX = 5
"""Moves between wallets that are shown; all are in the JSON."""


def change_page(change: Change) -> str:
    """Return the page: each place by itself, then what holds for all of them."""
    lines: list[str] = []
    if not change.complete:
        lines += sentence("NOT COMPLETE: the route ledger has not followed all books to their ends yet.")
    for place in change.places:
        lines += place_part(change, place)
    if not change.places:
        verb = "charged" if change.measure == "charge" else "billed"
        lines += sentence(f"Nothing was {verb} in either period.")
    return "\n".join([*lines, *rules_part(change), *closing(change)]).lstrip("\n")


def place_part(change: Change, place: ChangeOfPlace) -> list[str]:
    """Return one wallet, or one unit of the providers' bills: in words, then in figures."""
    name = name_of(change, place)
    lines = [*title(name), *sentence(place.summary)]
    for number, reason in enumerate(place.reasons, 1):
        lines += [*pair(f"reason {number}", reason.text), *pair("", behind_text(change, reason))]
    lines += title(f"Six questions about {name}")
    for answer in place.answers:
        lines += [*pair(answer.answer.upper(), answer.text), *pair("", answer_text(answer))]
    lines += [
        *title(f"From before to after (in {place.unit})"),
        *table(("", "amount", "of the difference"), term_rows(place), left=1),
    ]
    for term in place.terms:
        if term.term == "moved":
            lines += moves_part(term)
    if place.groups:
        lines += groups_part(change.by or "group", place)
    return lines


def name_of(change: Change, place: ChangeOfPlace) -> str:
    """Return what a part of the page is about."""
    if change.measure == "charge":
        return f"The {place.bucket} wallet"
    return f"The bills in {place.unit}" + ("" if place.bucket is None else f" for the {place.bucket} wallet")


def behind_text(change: Change, reason: ChangeReason) -> str:
    """Return the requests behind a reason, and the parameters under which they are listed."""
    query = reason.behind.query
    span = "earlier" if query.get("from") == in_utc(change.before.begins_at) else "later"
    parameters = [f"{name}={value}" for name, value in query.items() if name not in ("from", "to")]
    listed = f" ({', '.join(parameters)})" if parameters else ""
    return f"Behind it: {counted(reason.behind.requests, 'request')} of the {span} period{listed}."


def answer_text(answer: ChangeAnswer) -> str:
    """Return the figures of an answer."""
    effect = "" if answer.effect is None or is_zero(answer.effect) else f", {with_sign(answer.effect)}"
    return f"{answer.before} before, {answer.after} after{effect} ({answer.measure})."


def term_rows(place: ChangeOfPlace) -> Iterator[tuple[str, str, str]]:
    """Yield what adds up: the amount before, every term that is not zero, and rounding; then the amount after."""
    yield "before", place.before.value, ""
    for term in place.terms:
        if term.term == "rounding" or not is_zero(term.effect):
            yield term.title, signed(term), "" if term.share is None else f"{term.share} %"
    yield "after", place.after.value, ""


def signed(term: ChangeTerm) -> str:
    """Return what a term adds, without its unit, which stands above the table."""
    return term.effect.value if term.effect.value.startswith("-") else f"+{term.effect.value}"


def moves_part(term: ChangeTerm) -> list[str]:
    """Return from where and to where requests moved. The other side is told in requests and tokens, never in money."""
    parts = [part for part in term.parts if not is_zero(part.effect)]
    if not parts:
        return []
    lines = title("Moved in and out (the other side in requests and tokens)")
    for part in parts[:MOVES_MAX]:
        lines += pair("in" if is_incoming(part) else "out", move_text(part))
    if len(parts) > MOVES_MAX:
        lines += sentence(f"and {counted(len(parts) - MOVES_MAX, 'smaller one')}")
    return lines


def is_incoming(part: TermPart) -> bool:
    """Return whether requests came in, and did not leave."""
    said = {each.value for each in part.about if each.dimension == "direction"}
    return "in" in said or (not said and not part.effect.value.startswith("-"))


def move_text(part: TermPart) -> str:
    """Return one move: between what, how, what it adds, and how much was on the other side."""
    about = {each.dimension: each.value for each in part.about}
    how = f" by {about['how']}" if "how" in about else ""
    return (
        f"{'from' if is_incoming(part) else 'to'} {other_side(about)}{how}, {with_sign(part.effect)}; there "
        f"{counted(part.requests_before, 'request')} of {counted(part.tokens_before, 'token')} before, "
        f"{counted(part.requests_after, 'request')} of {counted(part.tokens_after, 'token')} after"
    )


def groups_part(by: str, place: ChangeOfPlace) -> list[str]:
    """Return the groups, each with the term that moved most in it."""
    rows = [
        (group_name(by, group), largest(group), group.before.value, group.after.value, group.difference.value)
        for group in place.groups
    ]
    header = (by, "most of it", "before", "after", "difference")
    return [*title(f"By {by} (in {place.unit})"), *table(header, rows, left=2)]


def group_name(by: str, group: ChangeGroup) -> str:
    """Return what a group is called."""
    if group.others:
        return counted(group.others, "other")
    return f"without {by}" if group.value is None else group.value


def largest(group: ChangeGroup) -> str:
    """Return the title of the term that moves most; nothing where none does."""
    moving = [(abs(int(term.effect.value.replace(".", ""))), term) for term in group.terms if not is_zero(term.effect)]
    return max(moving, key=lambda each: each[0])[1].title if moving else ""


def rules_part(change: Change) -> list[str]:
    """Return by what rule each question is answered, once for all places: it is said the same way in each."""
    rules = dict.fromkeys((answer.text, answer.rule) for place in change.places for answer in place.answers)
    if not rules:
        return []
    lines = title("When a question is answered with yes")
    for text, rule in rules:
        lines += sentence(f"{text} {rule[:1].upper()}{rule[1:]}.")
    return lines


def closing(change: Change) -> list[str]:
    """Return which periods were compared, in which zone, and by what method."""
    owner = "" if change.workspace_id is None else f"Workspace {change.workspace_id}, "
    periods = f"{owner}{span_text(change.after)} against {span_text(change.before)}, by the clocks of {change.zone}."
    return [*title("Periods and method"), *sentence(periods[:1].upper() + periods[1:]), *sentence(change.method)]
