"""Books to be exported as plain text, and the programs that read it: run as an auditor would, never imported."""

import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from ledger.catalog.commands import DefineBucket
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command, to_microseconds
from ledger.service import Ledger
from ledger.wallet.commands import GrantFunds, OpenWallet
from projections.connections import connect_projector
from projections.exports.beancount import write_beancount
from projections.exports.hledger import write_hledger
from projections.exports.scope import Scope
from projections.exports.writing import Snapshot, open_snapshot
from tests.integration.read_side import follow, tell
from tests.integration.scenes import catalog_commands, credit, fall_back, hold, record, workspace_commands

WRITERS = {"beancount": write_beancount, "hledger": write_hledger}
PROGRAMS = {
    "beancount": (str(Path(sys.executable).with_name("bean-check")),),
    "hledger": ("hledger", "check", "--strict", "ordereddates", "balancednoautoconversion", "-f"),
}
FORMATS = tuple(PROGRAMS)
ZONES = {"acme": "Asia/Shanghai", "zeta": "UTC"}
MADE_AT = to_microseconds(datetime(2026, 11, 22, 5, tzinfo=UTC))
LATE_IN_MARCH = datetime(2025, 3, 31, 16, 30, tzinfo=UTC)
"""In Shanghai it is the first of April already."""


def more_commands(name: str) -> list[Command]:
    """Return what happened long before it was recorded, in wallets that the story does not have; one stays empty."""
    at: dict[str, Any] = {"workspace_id": name}
    in_march: dict[str, Any] = {**at, "effective_at": LATE_IN_MARCH}
    return [
        OpenWallet(**at, bucket="gift.2025"),
        OpenWallet(**at, bucket="points"),
        OpenWallet(**at, bucket="unused"),
        GrantFunds(**in_march, bucket="gift.2025", grant_id="late-1", amount=credit("0.000003")),
        GrantFunds(**in_march, bucket="points", grant_id="late-2", amount=StatedAmount("12", "POINT")),
        GrantFunds(**in_march, bucket="credit", grant_id="late-3", amount=credit("7")),
    ]


def open_books(ledger: Ledger) -> None:
    """Tell the story in two workspaces, after a fallback that moves nothing overall, and follow it."""
    record(ledger, catalog_commands())
    record(ledger, [DefineBucket(bucket="gift.2025", unit="CREDIT", scale=6)])
    record(ledger, [DefineBucket(bucket=name, unit="POINT", scale=0) for name in ("points", "unused")])
    for name, zone in ZONES.items():
        record(ledger, workspace_commands(name, time_zone=zone))
        record(ledger, [hold("r-even", "2", workspace_id=name), fall_back("r-even", "2", workspace_id=name)])
        tell(ledger, name)
        record(ledger, more_commands(name))
    follow(ledger.url)


def export(url: str, kind: str, scope: Scope | None = None) -> str:
    """Return an export of everything unless a scope is given."""
    with open_snapshot(url, scope or Scope(), None) as snapshot:
        return write(snapshot, kind)


def write(snapshot: Snapshot, kind: str, checkpoint: str | None = None) -> str:
    """Return an export of a snapshot."""
    out = BytesIO()
    WRITERS[kind](
        snapshot.connection, snapshot.generation, snapshot.scope, snapshot.spans, out, lambda legs: None,
        made_at=MADE_AT, checkpoint=checkpoint,
    )  # fmt: skip
    return out.getvalue().decode()


def export_after(url: str, damage: str, kind: str) -> str:
    """Return an export of everything from a journal in which something was changed, and is not any more."""
    with (
        open_snapshot(url, Scope(), None) as whole,
        closing(connect_projector(url, "test")) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute(damage.encode())
        return write(Snapshot(connection, whole.generation, whole.scope, whole.spans, None, None), kind)


def require_program(kind: str) -> None:
    """Skip a test whose program is not on this machine, and say so where nobody overlooks it."""
    if which(PROGRAMS[kind][0]) is None:
        pytest.skip(f"{PROGRAMS[kind][0]} IS NOT INSTALLED: exports for it are not checked on this machine")


def complaints(kind: str, text: str, folder: Path) -> str:
    """Return what the real program finds wrong with a file, nothing for one that it accepts."""
    require_program(kind)
    file = folder / f"journal.{kind}"
    file.write_text(text, encoding="utf-8")
    ran = subprocess.run([*PROGRAMS[kind], str(file)], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode == 0) == (ran.stdout + ran.stderr == ""), ran
    return ran.stdout + ran.stderr
