"""The table of accounts in `projections/README.md` is the one in the code."""

from collections.abc import Iterator

from ledger.core.accounts import ACCOUNT_KINDS, AccountKind
from tests.source_tree import ROOT

HEADER = (
    "| account | type | normal side | in plain-text accounting | what it is |",
    "|---|---|---|---|---|",
)


def table() -> Iterator[str]:
    """Yield the lines of the table, made of the kinds of accounts."""
    yield from HEADER
    for kind in ACCOUNT_KINDS:
        cells = (f"`{name_of(kind)}`", kind.type.value, kind.normal_side.value, kind.root, kind.meaning)
        yield f"| {' | '.join(cells)} |"


def name_of(kind: AccountKind) -> str:
    """Return how the accounts of a kind are called: those of funds are named by source, all others by route."""
    if not kind.named:
        return kind.kind
    return f"{kind.kind}.<{'source' if kind.kind == 'funding' else 'route'}>"


def test_the_table_of_accounts_is_that_of_the_code() -> None:
    """Types, normal sides, roots and meanings stand in the README as the code has them, each kind once, in order."""
    page = (ROOT / "projections" / "README.md").read_text(encoding="utf-8")
    assert "\n".join(table()) in page
    assert sum(line.startswith("| account |") for line in page.splitlines()) == 1
