"""`route-ledger audit actions`: who did what, from a directory's books or from a ledger at an address."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.database import existing_database
from gateway.ledger_answers import Decoder
from gateway.ledger_client import LedgerClient
from gateway.ledger_journal import Listing, Page
from gateway.tools.elsewhere import client_at
from gateway.tools.failures import WrongUsage
from gateway.tools.voice import say
from gateway.tools.zones import zone_of_workspace
from ledger.core.commands import to_datetime
from ledger.core.identifiers import API_KEY_PATTERN, PLATFORM, WORKSPACE_PATTERN
from ledger.store.live import LiveReader
from projections.actions.answers import Action
from projections.actions.reading import LATEST, ActionFilters, LastAction, read_actions
from projections.actions.showing import action_of, tags_named
from projections.actions.tables import actions_header, actions_rows
from projections.reading import JournalReader
from projections.spend.asking import AskedWrongly, moment_of, zone_of

ROWS_AT_ONCE = 500
UTC_ZONE = "UTC"
SHAPES = ("table", "csv", "jsonl")

decode_actions = Decoder(Page[Action])


def run_actions(asked: Mapping[str, str | None], shape: str, data: Path, url: str | None) -> int:
    """Print every action that is asked for, the newest first.

    `asked` are workspace, actor, tag, from, to and zone; `shape` is table, csv or jsonl.
    """
    if shape not in SHAPES:
        raise WrongUsage(f"--format: it is one of {', '.join(SHAPES)}")
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        with actions_at(given, data, url) as actions:
            if shape == "csv":
                print_rows(actions_header())
            for action in actions:
                show(action, shape)
    except AskedWrongly as wrong:
        raise WrongUsage(f"--{wrong.field}: {wrong.detail}") from None
    return 0


def show(action: Action, shape: str) -> None:
    """Print one action."""
    if shape == "csv":
        print_rows(actions_rows([action]))
    elif shape == "jsonl":
        say(msgspec.json.encode(action).decode())
    else:
        who = action.actor if action.actor_name is None else f"{action.actor} ({action.actor_name})"
        why = "" if action.reason is None else f" — {action.reason}"
        say(f"{action.recorded_at[:19]}Z  {action.workspace_id:<16} #{action.position:<8} {who:<24} {action.text}{why}")


def print_rows(rows: str) -> None:
    """Print rows of CSV, which have their own ends of lines; standard output adds none."""
    say(rows.removesuffix("\n"))


@contextmanager
def actions_at(asked: Mapping[str, str], data: Path, url: str | None) -> Iterator[Iterator[Action]]:
    """Yield the actions in a database, or with an address those of the ledger there. Raises AskedWrongly."""
    if url is not None:
        with client_at(url, "scope audit") as client:
            yield remote_actions(client, asked)
        return
    with existing_database(data) as database, asyncio.Runner() as runner:
        books, live = JournalReader(database), LiveReader(database)
        try:
            yield local_actions(runner, books, live, asked)
        finally:
            runner.run(books.close())
            runner.run(live.close())


def local_actions(
    runner: asyncio.Runner, books: JournalReader, live: LiveReader, asked: Mapping[str, str]
) -> Iterator[Action]:
    """Yield the actions of a database, page by page."""
    workspace = asked.get("workspace")
    own_zone = runner.run(zone_of_workspace(live, workspace))
    filters = filters_of(asked, asked.get("zone", own_zone))
    rows = runner.run(live.fetch("read_display_names", workspace_id=PLATFORM))
    names = {name: display_name for kind, name, display_name in rows if kind == "api_key"}
    last: LastAction | None = None
    while True:
        found = runner.run(read_actions(books, filters, last, ROWS_AT_ONCE))
        # Read after the page, the catalog knows all that it names.
        catalog = runner.run(live.read_catalog())
        for row in found.rows:
            yield action_of(row, catalog, names)
        last = found.last
        if last is None:
            return


def filters_of(asked: Mapping[str, str], zone_name: str) -> ActionFilters:
    """Return what is asked for. Raises AskedWrongly."""
    zone = zone_of(zone_name)
    workspace, actor, tag = (asked.get(name) for name in ("workspace", "actor", "tag"))
    if workspace is not None and not WORKSPACE_PATTERN.match(workspace):
        raise AskedWrongly("workspace", "no workspace has such a name")
    if actor is not None and not API_KEY_PATTERN.match(actor):
        raise AskedWrongly("actor", "it is a key's id, or system")
    tags = None if tag is None else tuple(tags_named(tag))
    if tags == ():
        raise AskedWrongly("tag", "no action is recorded under it: it is one such as api_key_revoked")
    begin, end = moment_of(asked, "from", zone), moment_of(asked, "to", zone)
    return ActionFilters(
        workspace_id=workspace, actor=actor, tags=tags, begin=begin or 0, end=LATEST if end is None else end
    )


def remote_actions(client: LedgerClient, asked: Mapping[str, str]) -> Iterator[Action]:
    """Return the actions of a ledger elsewhere. Days without a zone are those of UTC."""
    filters = filters_of(asked, asked.get("zone", UTC_ZONE))
    parameters = {"workspace_id" if name == "workspace" else name: asked[name] for name in asked if name in SENT}
    for name, instant in (("from", filters.begin), ("to", filters.end)):
        if name in asked:
            parameters[name] = to_datetime(instant).isoformat().replace("+00:00", "Z")
    return client.listing(Listing(("actions",), decode_actions, parameters))


SENT = ("workspace", "actor", "tag")
