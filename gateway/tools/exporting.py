"""`route-ledger audit export`: the journal as files that others can read and check."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.progress import Progress

from gateway.database import existing_database
from gateway.signing_key import KeyFileUnusable, open_signer, publish_first_key
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.following import draw_level
from gateway.tools.replay import Meter
from gateway.tools.voice import note, progress_bar, say
from gateway.tools.zones import zone_of_workspace
from ledger.service import Ledger
from ledger.store.checkpoints import CheckpointRefused, make_checkpoint
from ledger.store.install import read_purpose
from ledger.store.live import LiveReader
from projections.exports.asking import scope_asked
from projections.exports.directory import MANIFEST
from projections.exports.formats import FORMATS
from projections.exports.manifest import Manifest
from projections.exports.scope import Scope
from projections.exports.spans import ExportRefused, NotFollowed
from projections.exports.writing import NEWEST, ExportAsked, export
from projections.journal_rows import Journal
from projections.spend.asking import AskedWrongly

__all__ = ["Asked", "run_export"]

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.2


class Asked(msgspec.Struct, frozen=True):
    """What is to be exported, as the options say it. `period` has from, to and zone."""

    formats: str
    workspace: str | None
    period: Mapping[str, str | None]
    checkpoint: int | None
    signing_key: Path | None
    excel_safe: bool


def run_export(data: Path, path: Path, asked: Asked) -> int:
    """Write an export to a directory that does not exist yet or is empty, and say what it holds."""
    formats = formats_of(asked.formats)
    began = time.monotonic()
    with existing_database(data) as url:
        try:
            scope = asyncio.run(scope_of(url, asked))
            checkpoint = asked.checkpoint or NEWEST
            if asked.signing_key is not None and asked.checkpoint is None:
                checkpoint = new_checkpoint(url, asked.signing_key)
            manifest = export_level(url, path, ExportAsked(scope, formats, checkpoint, asked.excel_safe))
        except AskedWrongly as wrong:
            raise WrongUsage(f"--{wrong.field}: {wrong.detail}") from None
        except (ExportRefused, CheckpointRefused, KeyFileUnusable) as refused:
            raise ToolFailed(str(refused)) from refused
    show(path, manifest)
    note(f"{manifest.counts.legs:,} legs of {len(manifest.books):,} books in {time.monotonic() - began:.1f} s")
    return 0


def formats_of(text: str) -> tuple[str, ...]:
    """Return the formats in a text with commas. Raises WrongUsage for an unknown one."""
    formats = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in formats:
        if name not in FORMATS:
            raise WrongUsage(f"--format: there is no {name!r}, choose from {', '.join(FORMATS)}")
    return formats


async def scope_of(url: str, asked: Asked) -> Scope:
    """Return the scope that the options mean. Raises AskedWrongly, and ToolFailed for an unknown workspace."""
    texts = {name: text for name, text in asked.period.items() if text is not None}
    live = LiveReader(url)
    try:
        own_zone = None if asked.workspace is None else await zone_of_workspace(live, asked.workspace)
    finally:
        await live.close()
    return scope_asked(texts, asked.workspace, own_zone)


def new_checkpoint(url: str, signing_key: Path) -> int:
    """Sign all books as they are now, with a key whose public half is in the books from its first use on."""
    signer = open_signer(url, signing_key)
    with Ledger(url, purpose=read_purpose(url)) as ledger:
        publish_first_key(ledger, signer)
    return make_checkpoint(url, signer).checkpoint


def export_level(url: str, path: Path, asked: ExportAsked) -> Manifest:
    """Export once the journal has followed everything: somebody else may be just about to write the last of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        draw_level(url, Journal())
        try:
            with progress_bar() as progress:
                return export(url, path, asked, Meters(progress))
        except NotFollowed:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


class Meters:
    """A progress bar for each file. Called with the format, what is written of it, and what there is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._meters: dict[str, Meter] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        if name not in self._meters:
            self._meters[name] = Meter(self._progress, f"writing {name}")
        self._meters[name](done, total)


def show(path: Path, manifest: Manifest) -> None:
    """Print a line for each file, the manifest last, and what ties them to somebody outside."""
    for file in manifest.files:
        say(f"{path / file.name}  {file.rows:,} rows  {file.bytes:,} bytes  sha256 {file.sha256}")
    say(str(path / MANIFEST))
    if manifest.checkpoint is None:
        note("there is no checkpoint: nothing ties this export to what anybody outside has kept")
