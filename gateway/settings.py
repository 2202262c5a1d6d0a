"""The gateway's own settings: the optional table `[gateway]` of the configuration file.

They belong to one process and are never part of the catalog. `gateway/README.md` says what each is for.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ledger.catalog.config.tables import ConfigurationInvalid, Problem, Table

Count = Annotated[int, Meta(ge=1, le=10**9)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
"""A member of a caller's metadata."""

HEADER_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
KEPT_HEADERS = frozenset(
    "authorization connection content-encoding content-length content-type cookie expect host keep-alive"
    " proxy-authorization te trailer transfer-encoding upgrade x-api-key".split()
)
"""Headers that are a caller's secret, or belong to one connection: never sent on."""

NAMES_MAX = 32


class Hold(msgspec.Struct, frozen=True):
    """How much is held before a call: an upper bound of what it can cost."""

    bytes_per_token: Annotated[int, Meta(ge=1, le=16)] = 2
    tokens_per_image: Count = 2000
    tokens_per_reference: Count = 20_000
    default_output_limit: Count = 4096
    minimum_output_limit: Count = 64
    headroom: Annotated[int, Meta(ge=0, le=10**9)] = 32
    grace_seconds: Seconds = 60


class Retry(msgspec.Struct, frozen=True):
    """Pauses between calls of one request on the same route."""

    first_pause_milliseconds: Annotated[int, Meta(ge=0, le=60_000)] = 250
    pause_seconds_max: Seconds = 8
    retry_after_seconds_max: Seconds = 20


class Breaker(msgspec.Struct, frozen=True):
    """When a route or a provider is left alone for a while."""

    failures: Annotated[int, Meta(ge=1, le=10_000)] = 5
    window_seconds: Seconds = 30
    open_seconds: Seconds = 30
    account_empty_seconds: Seconds = 60


class Settlement(msgspec.Struct, frozen=True):
    """What is charged where an answer did not end as it should."""

    client_gone: Literal["drain", "estimate"] = "drain"
    drain_seconds: Seconds = 20
    stream_cut: Literal["estimate", "release"] = "estimate"
    usage_missing: Literal["estimate", "release"] = "estimate"
    charge_wait_seconds: Seconds = 2
    bytes_per_token: Annotated[int, Meta(ge=1, le=16)] = 4


class Edge(msgspec.Struct, frozen=True):
    """What is taken from callers, passed on and waited for."""

    strict_openai_errors: bool = False
    metadata_keys: tuple[str, ...] = ()
    forward_headers: tuple[str, ...] = ()
    body_bytes_max: Annotated[int, Meta(ge=1024, le=2**30)] = 33_554_432
    connect_seconds: Seconds = 10
    stream_idle_seconds: Seconds = 120
    stream_seconds_max: Seconds = 3600


class SpoolPlace(msgspec.Struct, frozen=True):
    """Where settlements wait while the ledger does not answer."""

    directory: Annotated[str, Meta(min_length=1, max_length=1024)] = "data/spool"


class Settings(msgspec.Struct, frozen=True):
    """All settings of a gateway's process."""

    hold: Hold = Hold()
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    settlement: Settlement = Settlement()
    edge: Edge = Edge()
    spool: SpoolPlace = SpoolPlace()


def parse_settings(text: str) -> Settings:
    """Return the settings of a configuration file. Raises ConfigurationInvalid with every problem of theirs."""
    settings, problems = read_settings(text)
    if problems:
        raise ConfigurationInvalid(problems)
    return settings


def read_settings(text: str) -> tuple[Settings, tuple[Problem, ...]]:
    """Return what the table `[gateway]` says and its problems; defaults stand in for what is wrong."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        return Settings(), (Problem("file", f"is no TOML: {error}"),)
    problems: list[Problem] = []
    gateway = Table("", values, problems).table("gateway")
    if gateway is None:
        return Settings(), tuple(problems)
    groups: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        group = gateway.table(field.name)
        if group is not None:
            groups[field.name] = read_group(group, field.type)
    gateway.close()
    settings = Settings(**groups)
    problems += disagreements(settings)
    return settings, tuple(problems)


def read_group(table: Table, group: type[msgspec.Struct]) -> msgspec.Struct:
    """Return one group of settings; the types and bounds of its fields say what is right."""
    kind = msgspec.inspect.type_info(group)
    fields = kind.fields if isinstance(kind, msgspec.inspect.StructType) else ()
    read = {field.name: read_setting(table, field.name, field.type) for field in fields}
    table.close()
    return group(**{name: value for name, value in read.items() if value is not None})


def read_setting(table: Table, name: str, kind: msgspec.inspect.Type) -> object:
    """Return one setting, or None where it is absent or wrong."""
    match kind:
        case msgspec.inspect.IntType(ge=minimum, le=maximum) if minimum is not None and maximum is not None:
            return table.whole(name, minimum, maximum)
        case msgspec.inspect.FloatType(ge=minimum, le=maximum) if minimum is not None and maximum is not None:
            return table.number(name, minimum, maximum)
        case msgspec.inspect.BoolType():
            return table.flag(name)
        case msgspec.inspect.LiteralType(values=words):
            return table.choice(name, [str(word) for word in words], "") or None
        case msgspec.inspect.StrType(max_length=length) if length is not None:
            if table.values.get(name) == "":
                table.problem(name, "is empty")
            return table.text(name, length) or None
        case msgspec.inspect.VarTupleType():
            return tuple(table.texts(name)) if table.has(name) else None
    raise TypeError(f"setting {name} has a type that is not read")


def disagreements(settings: Settings) -> Iterator[Problem]:
    """Yield what each setting says well alone, but not together, and names that are none."""
    hold, retry, edge = settings.hold, settings.retry, settings.edge
    if hold.minimum_output_limit > hold.default_output_limit:
        yield Problem("gateway.hold.minimum_output_limit", "is larger than default_output_limit")
    if retry.first_pause_milliseconds > retry.pause_seconds_max * 1000:
        yield Problem("gateway.retry.first_pause_milliseconds", "is longer than pause_seconds_max")
    for name, names, pattern in (
        ("metadata_keys", edge.metadata_keys, NAME_PATTERN),
        ("forward_headers", edge.forward_headers, HEADER_PATTERN),
    ):
        if len(names) > NAMES_MAX:
            yield Problem(f"gateway.edge.{name}", f"are more than {NAMES_MAX}")
        if any(pattern.match(each) is None for each in names):
            yield Problem(f"gateway.edge.{name}", f"must each look like {pattern.pattern.removesuffix(chr(92) + 'Z')}")
    for header in edge.forward_headers:
        if header in KEPT_HEADERS:
            yield Problem("gateway.edge.forward_headers", f"must not have {header}: it is never sent on")
