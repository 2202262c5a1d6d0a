"""`ledger/README.md` says what the code does: its tables of commands, scopes and problems are compared row by row."""

import re
from types import SimpleNamespace
from typing import cast

from ledger.api.answers import CommandAnswer
from ledger.api.command_table import COMMAND_ROUTES, COMMANDS_MAX
from ledger.api.context import ApiContext
from ledger.api.decoding import BODY_BYTES_MAX
from ledger.api.operating import create_operating_handlers
from ledger.api.operations import GATEWAY
from ledger.api.refusal_table import MEANINGS
from ledger.commands import command_id_of
from ledger.decisions import EVENT_OF
from ledger.events import TAGS
from ledger.workspace.commands import PLATFORM_SCOPES, SCOPES
from tests.integration.test_api_posting import every_command
from tests.source_tree import ROOT

PAGE = (ROOT / "ledger" / "README.md").read_text(encoding="utf-8")


def table(first_heading: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading, without code marks."""
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line.startswith(f"| {first_heading} |"):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return rows


def test_the_table_of_commands_is_the_code() -> None:
    """Kind, path, body, event and scope of every command stand in the order of the code's own table."""
    expected = [
        [
            route.kind,
            route.path,
            route.body.__name__,
            ", ".join(TAGS[event].removesuffix(".v1") for event in EVENT_OF[route.command]),
            route.scope,
        ]
        for route in COMMAND_ROUTES
    ]
    assert [row[:5] for row in table("kind")] == expected


def test_the_identities_are_the_code() -> None:
    """Each command's identity is what the page says, with the command's own fields filled in."""
    identities = {row[0]: row[5] for row in table("kind")}
    keys = {route.command: route.key_field for route in COMMAND_ROUTES}
    kinds = {route.command: route.kind for route in COMMAND_ROUTES}
    for command in every_command():
        page = identities[kinds[type(command)]]
        if keys[type(command)]:
            assert "<key>" in page
            page = page.replace("<key>", getattr(command, keys[type(command)]))
        source = getattr(command, "card", command)
        stated = re.sub(r"<(\w+)>", lambda name, source=source: str(getattr(source, name[1])), page)  # type: ignore[misc]
        assert stated == command_id_of(command)


def test_the_table_of_problems_is_the_code() -> None:
    """Code, status, meaning and remedy of every refusal stand on the page."""
    expected = [[code.value, str(row.status), row.meaning, row.remedy] for code, row in MEANINGS.items()]
    assert sorted(table("code")) == sorted([cell.replace("`", "") for cell in row] for row in expected)


def test_the_table_of_what_gateways_ask_is_the_code() -> None:
    """Every route below /gateway stands on the page with what it takes and answers, and no other one does."""
    handlers = create_operating_handlers(cast(ApiContext, SimpleNamespace(ledger=None)))
    expected = {}
    for handler in handlers:
        (path,) = handler.paths
        (method,) = handler.http_methods - {"HEAD"}
        row = GATEWAY[handler.name or ""]
        if path.startswith("/gateway"):
            expected[f"{method} {path.replace(':str', '')}"] = (row.body is not None, row.answer or "204")
    rows = {row[0]: (row[1] != "–", re.split("[:;]", row[2])[0]) for row in table("gateway")}
    assert rows == expected


def test_the_table_of_scopes_is_the_code() -> None:
    """Every scope has its row, and those that only the platform's keys may have say so."""
    rows = {row[0]: row[2] for row in table("scope")}
    assert sorted(rows) == sorted(SCOPES)
    assert {scope for scope, keys in rows.items() if keys == "the platform"} == PLATFORM_SCOPES


def test_the_figures_on_the_page_are_the_code() -> None:
    """The limits of a body and a batch, and the members of an answer, are those of the code."""
    assert (BODY_BYTES_MAX, "at most 1 MB" in PAGE) == (1_000_000, True)
    assert (COMMANDS_MAX, "1 to 1,000 commands" in PAGE) == (1000, True)
    answer = PAGE[PAGE.index('{"workspace_id": "acme"') :]
    assert re.findall(r'^ ?\{?"(\w+)": |, "(\w+)": ', answer[: answer.index("```")], re.MULTILINE)
    assert all(f'"{name}": ' in answer for name in CommandAnswer.__struct_fields__)
