"""`route-ledger rerate`: what corrected prices would have charged, and with `--apply` the corrections themselves.

Each correction is an ordinary command that names the request and the card: the ledger works the difference out by
itself, under the book's lock. Its identity is made of both, so that what was broken off is run again.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.rerate_books import Books, Correction, books_at
from gateway.tools.voice import note, say
from ledger.core.amounts import StatedAmount
from ledger.request.commands import CorrectCharge, rerating_id
from projections.rerating.answers import RerateLine, Reratings
from projections.rerating.asking import RerateQuestion
from projections.rerating.page import head_lines, request_lines, signed, totals_lines
from projections.rerating.totals import add_line, no_reratings
from projections.spend.asking import AskedWrongly, zone_of
from projections.spend.zones import stated
from projections.stated import plus

CORRECTIONS_AT_ONCE = 200
REFUSALS_SHOWN = 20


class Asked(msgspec.Struct, frozen=True):
    """How the answer is wanted: as JSON lines, with the parts of each charge, with the corrections posted, and why."""

    as_json: bool
    with_parts: bool
    apply: bool
    reason: str | None


class Applied(msgspec.Struct):
    """What became of the corrections: `difference` is the sum of those that were recorded now."""

    difference: StatedAmount
    recorded: int = 0
    repeated: int = 0
    refused: int = 0


class Totals(msgspec.Struct, frozen=True, tag_field="kind", tag="totals"):
    """The last line of JSON; `applied` is null for a preview."""

    preview: Reratings
    applied: Applied | None


class Request(msgspec.Struct, frozen=True, tag_field="kind", tag="request"):
    """A line of JSON for each request."""

    line: RerateLine


def run_rerate(
    period: Mapping[str, str | None], workspace: str | None, data: Path, url: str | None, asked: Asked
) -> int:
    """Show what a card would have charged; with `apply` post the corrections. Exit code 1 when one is refused.

    `period` are the parameters of `/rerating`: rate_card, from, to, zone.
    """
    if asked.apply and not (asked.reason or "").strip():
        raise WrongUsage("--apply needs --reason: the books say why a charge was corrected")
    if asked.reason and not asked.apply:
        raise WrongUsage("--reason goes with --apply: a preview writes nothing")
    parameters = {name: value for name, value in period.items() if value is not None}
    try:
        with books_at(data, url, parameters, workspace, apply=asked.apply) as books:
            return show(books, asked)
    except AskedWrongly as wrong:
        raise WrongUsage(f"--{wrong.field.replace('_', '-')}: {wrong.detail}") from None


def show(books: Books, asked: Asked) -> int:
    """Print every request as it is met, post its correction where that is asked for, and print the sums."""
    question = books.question
    totals = no_reratings(question.card.bucket, question.unit)
    applied = Applied(totals.difference) if asked.apply else None
    if not asked.as_json:
        zone = zone_of(books.zone)
        period = stated(question.begin, zone), stated(question.end, zone)
        show_lines(head_lines(question.card, question.unit.code, *period))
    lines = books.lines()
    while batch := list(islice(lines, CORRECTIONS_AT_ONCE)):
        for line in batch:
            add_line(totals, line)
            show_request(line, asked)
        if applied is not None:
            post(books, [line for line in batch if line.outcome == "changed"], asked.reason, applied)
    if asked.as_json:
        say(msgspec.json.encode(Totals(totals, applied)).decode())
    else:
        show_lines(totals_lines(totals))
    return show_end(totals, applied, question)


def show_request(line: RerateLine, asked: Asked) -> None:
    """Print one request. A person is not shown those that stay as they are: they are counted."""
    if asked.as_json:
        say(msgspec.json.encode(Request(line)).decode())
    elif line.outcome != "unchanged":
        show_lines(request_lines(line, with_parts=asked.with_parts))


def show_lines(lines: Iterator[str]) -> None:
    """Print lines."""
    for line in lines:
        say(line)


def post(books: Books, changed: list[RerateLine], reason: str | None, applied: Applied) -> None:
    """Post the corrections of some requests, and count what became of them."""
    rate_card = books.question.card.rate_card
    commands = [
        CorrectCharge(
            workspace_id=line.workspace_id,
            request_id=line.request_id,
            correction_id=rerating_id(rate_card),
            cause="rerated",
            rate_card=rate_card,
            reason=reason,
        )
        for line in changed
    ]
    for line, correction in zip(changed, books.post(commands), strict=True):
        count_correction(line, correction, applied)


def count_correction(line: RerateLine, correction: Correction, applied: Applied) -> None:
    """Count one correction; say where it was refused, or is another than was shown a moment before."""
    if correction.difference is None:
        applied.refused += 1
        if applied.refused <= REFUSALS_SHOWN:
            note(f"refused: {line.workspace_id} {line.request_id}: {correction.refused}")
        return
    if correction.repeated:
        applied.repeated += 1
        return
    applied.recorded += 1
    applied.difference = plus(applied.difference, correction.difference)
    if correction.difference != line.difference:
        note(
            f"{line.workspace_id} {line.request_id} changed meanwhile: corrected by {signed(correction.difference)}, "
            f"not by {signed(line.difference)}"
        )


def show_end(totals: Reratings, applied: Applied | None, question: RerateQuestion) -> int:
    """Say what was written; return the exit code."""
    if applied is None:
        if totals.changed:
            note("nothing was written: --apply --reason TEXT posts these corrections")
        return 0
    unit = applied.difference.unit
    if not totals.changed:
        note(f"nothing to correct: no charge changes under {question.card.rate_card}")
        return 0
    also = f", {applied.repeated:,} were on record already" if applied.repeated else ""
    note(f"{applied.recorded:,} corrections recorded, together {signed(applied.difference)} {unit}{also}")
    if applied.refused:
        raise ToolFailed(f"{applied.refused:,} corrections were refused: repeat the command when that is mended")
    return 0
