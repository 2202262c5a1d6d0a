"""The manifest of an export: what it covers, how far each book goes, and what each file came to. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from ledger.core.commands import to_datetime
from projections.exports.scope import BookSpan, Scope, WalletUnit

__all__ = ["BookProof", "ExportedFile", "Manifest", "manifest_of"]

FORMAT = "route-ledger.export.v1"


class BookProof(msgspec.Struct, frozen=True):
    """That a book's head is in the checkpoint: its place among the leaves, and the neighbours on the way up, in hex."""

    index: int
    path: list[str]


class ExportedFile(msgspec.Struct, frozen=True):
    """One file beside the manifest. Rows are events of jsonl, legs of csv and parquet, entries of the text formats."""

    name: str
    format: str
    rows: int
    bytes: int
    sha256: str


class ExportedScope(msgspec.Struct, frozen=True):
    """What was asked for. The period is that of effective time, in microseconds since 1970; its end is not in it."""

    workspace_id: str | None
    effective_from: int | None
    effective_to: int | None
    zone: str | None


class ExportedBook(msgspec.Struct, frozen=True):
    """One book: which positions are here, and the chain's digests before them and at `position`, in hex.

    Events are lines of journal.jsonl; entries and legs are those of the period.
    """

    workspace_id: str
    first_position: int
    last_position: int
    position: int
    digest: str
    previous_digest: str
    time_zone: str
    wallets: tuple[WalletUnit, ...]
    events: int
    entries: int
    legs: int
    proof: BookProof | None


class Counts(msgspec.Struct, frozen=True):
    """Sums over all books."""

    events: int
    entries: int
    legs: int


class Manifest(msgspec.Struct, frozen=True):
    """The whole of `manifest.json`. `checkpoint` is the text of a signed note."""

    format: str
    made_at: datetime
    scope: ExportedScope
    counts: Counts
    files: list[ExportedFile]
    checkpoint: str | None
    books: list[ExportedBook]

    def encode(self) -> bytes:
        """Return the manifest as people can read it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def manifest_of(
    made_at: int,
    scope: Scope,
    spans: Sequence[BookSpan],
    proofs: Sequence[BookProof | None],
    files: Iterable[ExportedFile],
    checkpoint: str | None,
) -> Manifest:
    """Return the manifest of spans, each with its proof."""
    return Manifest(
        FORMAT,
        to_datetime(made_at),
        ExportedScope(scope.workspace_id, scope.effective_from, scope.effective_before, scope.zone),
        counts_of(spans),
        list(files),
        checkpoint,
        [book_of(span, proof) for span, proof in zip(spans, proofs, strict=True)],
    )


def counts_of(spans: Sequence[BookSpan]) -> Counts:
    """Return how many events, entries and legs all spans have together."""
    return Counts(
        sum(span.events for span in spans), sum(span.entries for span in spans), sum(span.legs for span in spans)
    )


def book_of(span: BookSpan, proof: BookProof | None) -> ExportedBook:
    """Return a span as the manifest states it."""
    return ExportedBook(
        span.workspace_id, span.first_position, span.last_position, span.position, span.digest.hex(),
        span.previous_digest.hex(), span.time_zone, span.wallets, span.events, span.entries, span.legs, proof,
    )  # fmt: skip
