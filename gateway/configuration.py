"""`route-ledger.toml` brought from a file into a ledger's catalog, here or elsewhere.

What a file means is decided without I/O in `ledger.catalog.config`. Here files are read, differences posted until
the catalog says what the file says, and a provider's key is fetched from where the file says it is.
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.settings import read_settings
from ledger.catalog.commands import CatalogCommand
from ledger.catalog.config.difference import Difference, diff
from ledger.catalog.config.listed import ListedPrices
from ledger.catalog.config.parsing import parse_config
from ledger.catalog.config.tables import ConfigurationInvalid, Problem
from ledger.catalog.config.values import Config
from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.core.refusals import Refusal

ATTEMPTS = 6
PAUSE_SECONDS = 0.3
"""Grows with each attempt: a server elsewhere may answer from a catalog that is a second old."""

COMMANDS_PER_CALL = 500
KEY_PATTERN = re.compile(r"[!-~]{1,4096}\Z")
"""What can stand in a header."""

RACES = frozenset({Refusal.IDENTITY_CONFLICT, Refusal.CATALOG_CONFLICT})
"""Refusals that somebody else who publishes at the same moment can cause."""


class ConfigurationNotApplied(Exception):
    """The ledger refused changes. What was recorded before stays; applying again goes on from there."""


class RefusedChange(Protocol):
    """Why a change was refused: `Refused` in process, `RefusedByLedger` over HTTP."""

    @property
    def code(self) -> str:
        """The stable reason."""

    @property
    def detail(self) -> str:
        """The same for a person."""

    @property
    def transient(self) -> bool:
        """Whether the same may succeed later."""


class ChangeOutcome(Protocol):
    """What became of one change: recorded now, recorded before, or refused."""

    @property
    def repeated(self) -> bool:
        """Whether it was there before."""

    @property
    def refused(self) -> RefusedChange | None:
        """Why it was refused, if it was."""


class CatalogKeeper(Protocol):
    """Whose catalog can be read and changed: a `Ledger`, or one elsewhere as `RemoteCatalog`."""

    def read_catalog(self) -> Catalog:
        """Return the catalog as it is now, or was a moment ago."""

    def execute_many(self, commands: Sequence[Command], actor: str) -> Sequence[ChangeOutcome]:
        """Return the outcomes of commands, in order."""


class Applied(msgspec.Struct, frozen=True):
    """What applying a file did: the changes that were recorded, and what a person should know."""

    changes: tuple[CatalogCommand, ...]
    notices: tuple[Problem, ...]


def parse_configuration(text: str) -> Config:
    """Return what a file's text says. Raises ConfigurationInvalid with every problem, its settings' included."""
    config, problems = parse_config(text, look_up_prices)
    # A text that is no TOML is one problem, not two.
    problems += tuple(problem for problem in read_settings(text)[1] if problem not in problems)
    if config is None or problems:
        raise ConfigurationInvalid(problems)
    return config


def read_configuration(path: Path) -> Config:
    """Return what a file says. Raises ConfigurationInvalid with every problem, one of reading it included."""
    return parse_configuration(read_text(path))


def read_text(path: Path) -> str:
    """Return a file's text. Raises ConfigurationInvalid where it can't be read."""
    try:
        # Bytes, so that no line end is translated: the digest is that of the file.
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise ConfigurationInvalid((Problem(str(path), "is not UTF-8"),)) from None
    except OSError as error:
        raise ConfigurationInvalid((Problem(str(path), f"can't be read: {error.strerror}"),)) from None


def look_up_prices(provider: str, model: str) -> ListedPrices:
    """Return what the installed price list says of a model. Only a file that asks for it pays for loading it."""
    from gateway.price_book import find_prices

    return find_prices(provider, model, now())


def read_provider_keys(
    config: Config, environ: Mapping[str, str] = os.environ
) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Return the key of each provider that names one, and every problem of finding them.

    A provider that names none is called without; one whose key can't be found is not to be called at all.
    """
    keys: dict[str, str] = {}
    problems: list[Problem] = []
    for provider in config.providers:
        if provider.api_key is None:
            continue
        try:
            keys[provider.name] = read_api_key(provider.api_key, environ)
        except ConfigurationInvalid as invalid:
            place = f"providers.{provider.name}.api_key"
            problems += [Problem(place, f"{problem.place} {problem.message}") for problem in invalid.problems]
    return keys, tuple(problems)


def read_api_key(source: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return a provider's key from where the configuration says it is. Raises ConfigurationInvalid."""
    kind, _, place = source.partition("/")
    if kind == "os.environ":
        key = environ.get(place, "")
    else:
        try:
            key = Path("/" + place).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ConfigurationInvalid((Problem(source, "can't be read"),)) from None
    key = key.strip()
    if not key:
        raise ConfigurationInvalid((Problem(source, "is not set, or empty"),))
    if KEY_PATTERN.match(key) is None:
        raise ConfigurationInvalid((Problem(source, "is no key: one line of ASCII without spaces is needed"),))
    return key


def compare_configuration(keeper: CatalogKeeper, config: Config) -> Difference:
    """Return what applying would change, without changing it."""
    return diff(keeper.read_catalog(), config, now())


def apply_configuration(keeper: CatalogKeeper, config: Config, *, actor: str) -> Applied:
    """Make a catalog say what a configuration says. Blocks.

    Several servers may do it at once: the one whose names are taken reads the catalog again. Raises
    ConfigurationInvalid where the catalog can't be changed so, and then nothing is; ConfigurationNotApplied where
    the ledger refused.
    """
    recorded: list[CatalogCommand] = []
    refused: RefusedChange | None = None
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE_SECONDS * attempt)
        wanted = compare_configuration(keeper, config)
        if wanted.problems:
            raise ConfigurationInvalid(wanted.problems)
        refused, is_certain = post_difference(keeper, wanted, actor, recorded)
        if is_certain:
            return Applied(tuple(recorded), wanted.notices)
        if refused is not None and refused.code not in RACES and not refused.transient:
            break
    raise ConfigurationNotApplied(
        "the catalog is being changed by somebody else: apply again"
        if refused is None
        else f"{refused.code}: {refused.detail}"
    )


def post_difference(
    keeper: CatalogKeeper, wanted: Difference, actor: str, recorded: list[CatalogCommand]
) -> tuple[RefusedChange | None, bool]:
    """Post a difference; return the first refusal, and whether the catalog certainly says what was wanted.

    The record of the file itself goes last and alone: nobody says that a file was applied before it is. A repeat
    shows that the catalog was an old one: what was wanted may have been changed again since.
    """
    refused: RefusedChange | None = None
    is_certain = True
    changes = wanted.commands[:-1]
    parts = [changes[at : at + COMMANDS_PER_CALL] for at in range(0, len(changes), COMMANDS_PER_CALL)]
    for part in (*parts, wanted.commands[-1:]):
        if not part or refused is not None:
            continue
        for command, outcome in zip(part, keeper.execute_many(part, actor), strict=True):
            if outcome.refused is not None:
                refused = refused or outcome.refused
            elif outcome.repeated:
                is_certain = False
            else:
                recorded.append(command)
    return refused, is_certain and refused is None


def now() -> int:
    """Return this machine's clock in microseconds since 1970."""
    return time.time_ns() // 1000
