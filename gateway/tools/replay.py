"""`route-ledger replay` and `route-ledger rebuild`."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.progress import Progress, TaskID

from gateway.database import existing_database
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.voice import note, progress_bar, say
from ledger.core.amounts import format_minor
from projections.rebuild import RECIPES, RebuildFailed, rebuild
from projections.replay import ReplayedWallet, ReplayReport, replay

POSITION_PATTERN = re.compile(r"[0-9]{1,18}\Z")


def run_replay(data: Path, workspace: str | None, at: str | None, *, verify: bool, as_json: bool) -> int:
    """Fold balances from the events and print them; with `verify` exit code 1 if anything live differs."""
    position, moment = parse_moment(at)
    began = time.monotonic()
    with existing_database(data) as url, progress_bar() as progress:
        meter = Meter(progress, "replaying")
        try:
            report = replay(url, workspace, position, moment, verify=verify, on_progress=meter)
        except (LookupError, ValueError) as error:
            raise WrongUsage(str(error)) from error
    seconds = time.monotonic() - began
    if as_json:
        say(msgspec.json.encode(report).decode())
    else:
        show_balances(report)
    note(f"{report.events:,} events of {report.books:,} books in {seconds:.1f} s")
    return show_differences(report, say_to=note if as_json else say) if verify else 0


def parse_moment(at: str | None) -> tuple[int | None, datetime | None]:
    """Return a position or a time of recording (UTC where no zone is stated)."""
    if at is None:
        return None, None
    if POSITION_PATTERN.match(at):
        return int(at), None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise WrongUsage(f"--at takes a position or a time such as 2026-11-21T10:00:00Z, not {at!r}") from None
    return None, moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def show_balances(report: ReplayReport) -> None:
    """Print a line per wallet; each bucket in its own unit, nothing summed."""
    say(f"{'workspace':<20} {'bucket':<12} {'position':>9} {'posted':>22} {'held':>20} {'available':>22} unit")
    for replayed in report.wallets:
        say(line_of(replayed))


def line_of(replayed: ReplayedWallet) -> str:
    """Return a wallet's balances as a line of the table."""
    wallet = replayed.wallet
    posted, held, available = (
        format_minor(minor, wallet.scale) for minor in (wallet.posted_minor, wallet.held_minor, wallet.available_minor)
    )
    names = f"{replayed.workspace_id:<20} {wallet.bucket:<12} {replayed.position:>9}"
    return f"{names} {posted:>22} {held:>20} {available:>22} {wallet.unit}"


def show_differences(report: ReplayReport, say_to: Callable[[str], None]) -> int:
    """Say whether live and replayed are the same; return the exit code."""
    for difference in report.differences:
        say_to(
            f"DIFFERENCE in {difference.workspace_id}: {difference.what}: "
            f"events say {difference.expected}, found {difference.found}"
        )
    if report.differences:
        note(f"verification FAILED, differences: {len(report.differences)}")
        return 1
    say_to("verified: live = replayed, chains intact")
    return 0


def run_rebuild(data: Path, projection: str) -> int:
    """Rebuild a projection, or all of them one after the other, and say what each came to."""
    with existing_database(data) as url:
        for name in RECIPES if projection == "all" else (projection,):
            began = time.monotonic()
            with progress_bar() as progress:
                try:
                    rebuilt = rebuild(url, name, on_progress=Meter(progress, f"rebuilding {name}"))
                except RebuildFailed as error:
                    raise ToolFailed(str(error)) from error
            say(
                f"{rebuilt.projection}: generation {rebuilt.generation} from {rebuilt.events:,} events "
                f"of {rebuilt.books:,} books in {time.monotonic() - began:.1f} s"
            )
    return 0


class Meter:
    """Shows progress on a bar. Called with what is done and what there is."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._description = description
        self._task: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._task is None:
            self._task = self._progress.add_task(self._description, total=total)
        self._progress.update(self._task, completed=done, total=total)
