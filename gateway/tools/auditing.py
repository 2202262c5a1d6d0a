"""`route-ledger audit verify`."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.database import existing_database
from gateway.tools.failures import WrongUsage
from gateway.tools.replay import Meter
from gateway.tools.voice import note, progress_bar, say
from projections.audit.findings import AuditReport, Behind, Finding
from projections.audit.verifying import Kept, verify

__all__ = ["run_verify"]

BEHIND_NAMED_MAX = 5


def run_verify(
    data: Path, workspace: str | None, checkpoint: Path | None, keys: tuple[str, ...], processes: int | None, *,
    as_json: bool,
) -> int:  # fmt: skip
    """Check every book against its events and all that is stored beside; exit code 1 where anything was touched."""
    kept = read_kept(checkpoint, keys)
    began = time.monotonic()
    with existing_database(data) as url, progress_bar() as progress:
        try:
            report = verify(url, workspace, processes, Meter(progress, "verifying"), kept)
        except LookupError as error:
            raise WrongUsage(str(error.args[0])) from error
    seconds = time.monotonic() - began
    if as_json:
        say(msgspec.json.encode(report).decode())
    show(report, workspace, note if as_json else say)
    note(f"{report.events:,} events of {report.books:,} books in {seconds:.1f} s")
    return 1 if report.findings else 0


def read_kept(checkpoint: Path | None, keys: tuple[str, ...]) -> Kept | None:
    """Return a checkpoint that somebody kept. Raises WrongUsage for a file that cannot be read."""
    if checkpoint is None:
        if keys:
            raise WrongUsage("--key is the key of a checkpoint: name its file with --checkpoint")
        return None
    try:
        return Kept(checkpoint.read_text(encoding="utf-8"), keys)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{checkpoint} is no checkpoint: {error}") from error


def show(report: AuditReport, workspace: str | None, say_to: Callable[[str], None]) -> None:
    """Say what was found, what could not be checked yet, and what it came to."""
    for finding in report.findings:
        say_to(line_of(finding))
    for behind in report.behind[:BEHIND_NAMED_MAX]:
        note(line_of_behind(behind))
    if len(report.behind) > BEHIND_NAMED_MAX:
        note(f"behind as well: {len(report.behind) - BEHIND_NAMED_MAX:,} others")
    if report.findings:
        more = f", and {report.suppressed:,} more of the same books" if report.suppressed else ""
        note(f"verification FAILED, findings: {len(report.findings):,}{more}")
        return
    parts = [f"{report.events:,} events", f"{report.entries:,} entries", f"{report.legs:,} legs"]
    if report.periods:
        parts.append(f"{report.periods:,} closed periods")
    if report.checkpoints:
        parts.append(f"{report.checkpoints:,} checkpoints")
    say_to(f"verified: {', '.join(parts)}; chains intact, entries = events, balances = entries")
    if report.is_held_against_kept:
        if workspace is None:
            say_to("the kept checkpoint is in these books: nothing before it was changed or lost")
        else:
            say_to(f"the kept checkpoint is in the book of {workspace}; the chains of the others were not walked")


def line_of(finding: Finding) -> str:
    """Return a finding as a line."""
    where = finding.workspace_id if finding.position is None else f"{finding.workspace_id} at {finding.position}"
    return f"FINDING in {where}: {finding.what}: must be {finding.expected}, found {finding.found}"


def line_of_behind(behind: Behind) -> str:
    """Return what could not be checked of a book as a line."""
    name = behind.projection.replace("_", " ")
    events = "event" if behind.events == 1 else "events"
    stopped = f", stopped: {behind.failure}" if behind.failure else ""
    return (
        f"{behind.workspace_id}: the {name} is {behind.events:,} {events} behind and was checked "
        f"up to position {behind.position:,}{stopped}"
    )
