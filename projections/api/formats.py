"""In which format a listing is answered: by `format`, else by the Accept header, else as JSON."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from litestar.types import HTTPScope

from projections.api.parameters import invalid

__all__ = ["FORMATS", "MEDIA_TYPES", "Format", "accepted", "format_of"]

T = TypeVar("T")


class Format(StrEnum):
    """The formats of a listing."""

    JSON = "json"
    CSV = "csv"
    JSONL = "jsonl"


FORMATS = tuple(each.value for each in Format)
MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.JSONL: "application/x-ndjson",
}
ACCEPTED = {
    **{media_type: each for each, media_type in MEDIA_TYPES.items()},
    "application/jsonl": Format.JSONL,
    "application/*": Format.JSON,
    "text/*": Format.CSV,
    "*/*": Format.JSON,
}


def format_of(scope: HTTPScope, query: Mapping[str, str]) -> Format:
    """Return the format that is asked for; an unknown `format` is refused, an unknown media type passed over."""
    named = query.get("format")
    if named is None:
        return accepted(scope, ACCEPTED, Format.JSON)
    if named not in FORMATS:
        raise invalid("format", f"it is one of {', '.join(FORMATS)}")
    return Format(named)


def accepted(scope: HTTPScope, formats: Mapping[str, T], default: T) -> T:
    """Return the format, by media type, that the Accept header likes best; of two alike, the one it names first."""
    best, most = default, 0.0
    for name, value in scope["headers"]:
        if name == b"accept":
            for choice in value.decode("latin-1").split(","):
                media_type, *parameters = [part.strip().lower() for part in choice.split(";")]
                liking = quality_of(parameters)
                if media_type in formats and liking > most:
                    best, most = formats[media_type], liking
    return best


def quality_of(parameters: list[str]) -> float:
    """Return how much a media type is liked, from 0 to 1; what is no number is not."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            digits = value.strip()
            return float(digits) if digits.replace(".", "", 1).isdecimal() and digits.isascii() else 0.0
    return 1.0
