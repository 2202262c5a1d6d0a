"""`route-ledger config apply`, and the same at a server's start and on SIGHUP."""

from pathlib import Path

import msgspec

from gateway.configuration import (
    Applied,
    apply_configuration,
    compare_configuration,
    parse_configuration,
    read_configuration,
)
from gateway.database import existing_database
from gateway.tools.failures import ToolFailed
from gateway.tools.voice import note, say
from ledger.catalog.config.tables import ConfigurationInvalid, Problem
from ledger.commands import KINDS
from ledger.core.commands import Command
from ledger.service import SYSTEM, Ledger
from ledger.store.install import read_purpose

NAME_FIELDS = ("bucket", "provider", "route", "model", "digest")


def run_apply(file: Path, data: Path, *, check: bool) -> int:
    """Post the difference between a file and the catalog, or only show it. Exit code 1 when the file has problems."""
    with existing_database(data) as url, Ledger(url, purpose=read_purpose(url)) as ledger:
        if not check:
            show_changes(apply_file(ledger, file), "done")
            return 0
        try:
            wanted = compare_configuration(ledger, read_configuration(file))
        except ConfigurationInvalid as invalid:
            raise with_problems(file.name, invalid.problems) from None
        if wanted.problems:
            raise with_problems(file.name, wanted.problems)
        show_changes(Applied(wanted.commands, wanted.notices), "would be done")
    return 0


def apply_file(ledger: Ledger, file: Path) -> Applied:
    """Make the catalog say what a file says. Raises ToolFailed with all its problems, having changed nothing."""
    try:
        return apply_configuration(ledger, read_configuration(file), actor=SYSTEM)
    except ConfigurationInvalid as invalid:
        raise with_problems(file.name, invalid.problems) from None


def apply_text(ledger: Ledger, text: str) -> Applied:
    """The same for text that travels with the package."""
    try:
        return apply_configuration(ledger, parse_configuration(text), actor=SYSTEM)
    except ConfigurationInvalid as invalid:
        raise with_problems("the configuration", invalid.problems) from None


def with_problems(
    name: str, problems: tuple[Problem, ...], said: str = "was not applied, nothing was changed"
) -> ToolFailed:
    """Return the failure that lists every problem of a file."""
    lines = "\n".join(f"  {problem}" for problem in problems)
    return ToolFailed(f"{name} {said}:\n{lines}")


def show_changes(applied: Applied, verb: str) -> None:
    """Print each change on a line, and what a person should know."""
    for command in applied.changes:
        say(f"{KINDS[type(command)]} {name_of(command)}")
    note(f"{len(applied.changes)} changes {verb}" if applied.changes else "nothing to change")
    for notice in applied.notices:
        note(f"note: {notice}")


def name_of(command: Command) -> str:
    """Return the name of what a command on the catalog publishes."""
    card = getattr(command, "card", None)
    if card is not None:
        return str(card.rate_card)
    fields = [field for field in NAME_FIELDS if field in command.__struct_fields__]
    # A route names its provider and bucket too; its own name is the field of its kind.
    own = next((field for field in fields if field in KINDS[type(command)]), fields[0])
    return str(msgspec.structs.asdict(command)[own])
