"""What the download of the journal takes and answers, in OpenAPI's words."""

from ledger.api.operations import ALWAYS, Operation, problems, query_parameter
from ledger.api.schemas import json_pattern
from ledger.core.identifiers import WORKSPACE_PATTERN
from projections.api.formats import MEDIA_TYPES, Format

__all__ = ["download_operations"]

SUMMARY = "The journal as CSV or JSON lines"
TEXT = (
    "All of it at once, streamed from one snapshot: a line for each leg with `format=csv`, a line for each event with "
    "its entries and the stored bytes with `format=jsonl`. Books go as far as the journal has followed them. A period "
    "is of effective time; JSON lines begin with the last event before it and go on to the end of each book, so that "
    "the chain of digests can be computed again. A download that breaks off ends the connection.\n\n"
    "The files of `route-ledger audit export` are the same lines, with a manifest, checksums and the proofs of a "
    "signed checkpoint: take those for an audit.\n\n"
    "Two downloads run at a time, a third is refused with 503. Needs a key of the platform with scope `read` or "
    "`audit`."
)
DAY = {"type": "string", "examples": ["2026-11-01", "2026-11-01T00:00:00Z"]}


def download_operations() -> dict[str, Operation]:
    """Return what the download takes and answers, by the operation's name."""
    texts = {MEDIA_TYPES[each]: {"schema": {"type": "string"}} for each in (Format.CSV, Format.JSONL)}
    return {
        "read_journal": {
            "summary": SUMMARY,
            "description": TEXT,
            "tags": ["journal"],
            "parameters": [
                query_parameter("format", "csv, unless it is named.", {"type": "string", "enum": ["csv", "jsonl"]}),
                query_parameter(
                    "workspace_id",
                    "Of this book only.",
                    {"type": "string", "pattern": json_pattern(WORKSPACE_PATTERN)},
                ),
                query_parameter("from", "What happened on this day, or at this moment, or later.", DAY),
                query_parameter("to", "What happened before this day or moment.", DAY),
                query_parameter(
                    "zone",
                    "The time zone in which days begin: the workspace's own unless named, UTC over all.",
                    {"type": "string", "examples": ["Asia/Shanghai"]},
                ),
                query_parameter(
                    "safe",
                    "With format=csv: for a spreadsheet, no cell is a formula.",
                    {"type": "string", "enum": ["excel"]},
                ),
            ],
            "responses": {"200": {"description": SUMMARY, "content": texts}, **problems(*ALWAYS, "404")},
        }
    }
