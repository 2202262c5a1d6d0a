"""What the header `x-demo` tells the upstream to do; ../README.md has the table of its words.

    *:chunks=20,deepseek:status=503;times=1

Entries are separated by commas. Each names a provider (`*` is every one) and words; `times` bounds its own entry to
the first calls of a request. A later entry wins over an earlier one.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

ANY_PROVIDER = "*"
HEADER_BYTES_MAX = 2048

Count = Annotated[int, Meta(ge=0, le=100_000)]
Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]


class BehaviourUnreadable(ValueError):
    """The header `x-demo` says something that the upstream doesn't understand."""


class Behaviour(Struct, frozen=True, forbid_unknown_fields=True):
    """How one call is answered. Without any word it succeeds at once."""

    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    account_empty: bool = False
    context_window: bool = False
    refused: bool = False
    retry_after: Count | None = None
    stall_ms: Milliseconds = 0
    cut_after: Count | None = None
    hang_after: Count | None = None
    error_after: Count | None = None
    no_usage: bool = False
    chunks: Annotated[int, Meta(ge=1, le=10_000)] = 8
    delay_ms: Milliseconds = 0
    answer_bytes: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    model: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    split: Annotated[int, Meta(ge=1)] | None = None
    chaos: Annotated[float, Meta(ge=0, le=1)] = 0.0
    seed: int = 0


class Rule(Struct, frozen=True):
    """One entry of the header."""

    provider: str
    words: tuple[tuple[str, str], ...]
    times: int | None

    def is_for(self, provider: str) -> bool:
        """Return whether the entry names a provider."""
        return self.provider in (provider, ANY_PROVIDER)


@lru_cache(maxsize=1024)
def read_rules(header: bytes) -> tuple[Rule, ...]:
    """Return the entries of a header. Raises BehaviourUnreadable."""
    if len(header) > HEADER_BYTES_MAX:
        raise BehaviourUnreadable(f"x-demo is longer than {HEADER_BYTES_MAX} bytes")
    entries = [entry.strip() for entry in header.decode("latin-1").split(",")]
    rules = tuple(read_rule(entry) for entry in entries if entry)
    convert(word for rule in rules for word in rule.words)
    return rules


def read_rule(entry: str) -> Rule:
    """Return one entry, such as `deepseek:status=503;times=1`."""
    provider, colon, rest = entry.partition(":")
    if not colon or not provider.strip():
        raise BehaviourUnreadable("x-demo: an entry is written provider:word=value;word=value")
    words: dict[str, str] = {}
    for word in filter(None, map(str.strip, rest.split(";"))):
        name, equals, value = word.partition("=")
        words[name.strip()] = value.strip() if equals else "true"
    times = words.pop("times", None)
    if times is not None and not (times.isascii() and times.isdigit()):
        raise BehaviourUnreadable("x-demo: times must be a whole number")
    return Rule(provider.strip(), tuple(words.items()), None if times is None else int(times))


def convert(words: Iterable[tuple[str, str]]) -> Behaviour:
    """Return the behaviour that words describe."""
    try:
        return msgspec.convert(dict(words), Behaviour, strict=False)
    except msgspec.ValidationError as error:
        raise BehaviourUnreadable(f"x-demo: {error}") from None


def is_counted(rules: tuple[Rule, ...], provider: str) -> bool:
    """Return whether the same request may be answered otherwise when it comes again."""
    return any(
        rule.times is not None or any(name == "chaos" for name, _ in rule.words)
        for rule in rules
        if rule.is_for(provider)
    )


def behaviour_of(rules: tuple[Rule, ...], provider: str, key: str = "", ordinal: int = 1) -> Behaviour:
    """Return how the call with an ordinal (from 1) of one request, known by its key, is answered."""
    told = [rule for rule in rules if rule.is_for(provider) and (rule.times is None or ordinal <= rule.times)]
    behaviour = convert(word for rule in told for word in rule.words)
    return with_mishap(behaviour, f"{behaviour.seed}/{provider}/{key}/{ordinal}") if behaviour.chaos else behaviour


def with_mishap(behaviour: Behaviour, throw: str) -> Behaviour:
    """Return the behaviour with a failure, a stall or a cut, as the dice fall that the text determines."""
    dice = hashlib.sha256(throw.encode()).digest()
    if int.from_bytes(dice[:4], "big") >= behaviour.chaos * 2**32:
        return behaviour
    after = dice[5] % (behaviour.chunks + 1)
    mishaps: tuple[dict[str, int], ...] = (
        {"status": 500},
        {"status": 503},
        {"status": 429},
        {"stall_ms": 20 + dice[5]},
        {"cut_after": 0},
        {"cut_after": after},
        {"error_after": after},
    )
    return replace(behaviour, **mishaps[dice[4] % len(mishaps)])
