"""Rows of the route ledger as PostgreSQL's binary COPY takes them, in the order of the columns of `copy_requests`.

By hand for the reason of `projections.copying`: every request leaves Python once this way.
"""

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct

import msgspec

from projections.copying import NULL, text_field
from projections.route_ledger.rows import RequestRow

__all__ = ["encode_requests"]

COLUMNS = len(RequestRow.__struct_fields__).to_bytes(2, "big")
FALSE, TRUE = b"\0\0\0\1\0", b"\0\0\0\1\1"

pack_length = Struct("!i").pack
pack_number = Struct("!iq").pack
pack_numbers = Struct("!iqiq").pack
pack_generation = Struct("!ii").pack
pack_counts = Struct("!iiiiii").pack

_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=65_536)
def name_fields(*names: str | None) -> bytes:
    """Return names that come back together as fields. Cached: not for ids."""
    return b"".join(NULL if name is None else text_field(name) for name in names)


@lru_cache(maxsize=65_536)
def row_start(workspace_id: str, generation: int) -> bytes:
    """Return the beginning of a row, which all rows of a book share."""
    return COLUMNS + text_field(workspace_id) + pack_generation(4, generation)


def id_field(text: str | None) -> bytes:
    """Return a text that is not likely to come back as a field."""
    if text is None:
        return NULL
    encoded = text.encode()
    return pack_length(len(encoded)) + encoded


def number_field(number: int | None) -> bytes:
    """Return a bigint as a field."""
    return NULL if number is None else pack_number(8, number)


def encode_requests(rows: Iterable[RequestRow]) -> bytes:
    """Return rows one after the other. Raises struct.error for a number that no column holds."""
    return b"".join(map(encode_request, rows))


def encode_request(row: RequestRow) -> bytes:
    """Return one row."""
    detail = _encode(row.detail)
    return b"".join(
        (
            row_start(row.workspace_id, row.generation),
            id_field(row.request_id),
            pack_numbers(8, row.position, 8, row.last_position),
            text_field(row.status),
            pack_numbers(8, row.began_at, 8, row.changed_at),
            number_field(row.ended_at),
            pack_number(8, row.expires_at),
            name_fields(row.project_id, row.api_key_id),
            id_field(row.end_user),
            name_fields(row.workflow),
            id_field(row.run),
            name_fields(
                row.step, row.model, row.route, row.tier, row.provider, row.upstream_model, row.reported_model,
                row.bucket, row.unit,
            ),
            name_fields(
                row.rule, row.first_route, row.first_bucket, row.first_rate_card, row.rate_card, row.priced_by
            ),
            pack_counts(4, row.attempts, 4, row.retries, 4, row.fallbacks),
            TRUE if row.went_wrong else FALSE,
            number_field(row.input_tokens),
            number_field(row.output_tokens),
            name_fields(row.usage_source, row.policy),
            pack_number(8, row.held_minor),
            number_field(row.charge_minor),
            number_field(row.paid_minor),
            pack_number(8, row.refunded_minor),
            number_field(row.list_minor),
            number_field(row.listed_minor),
            number_field(row.waived_minor),
            number_field(row.overrun_minor),
            number_field(row.latency_ms),
            number_field(row.first_token_ms),
            number_field(row.cost_minor),
            name_fields(row.cost_unit),
            TRUE if row.unpriced else FALSE,
            TRUE if row.model_mismatch else FALSE,
            id_field(row.trace_id),
            pack_length(len(detail)),
            detail,
        )
    )  # fmt: skip
