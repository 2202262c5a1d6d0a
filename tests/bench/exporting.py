"""An export in a process of its own, so that its memory is nobody else's: `python -m tests.bench.exporting …`."""

import sys
from pathlib import Path
from time import perf_counter

import msgspec

from projections.exports.scope import Scope
from projections.exports.writing import ExportAsked, export
from tests.bench.machine import peak_bytes
from tests.bench.processes import running

MODULE = "tests.bench.exporting"


class Exported(msgspec.Struct, frozen=True):
    """What an export came to."""

    legs: int
    events: int
    bytes: int
    seconds: float
    peak_bytes: int


def export_apart(url: str, directory: Path, name: str, scope: Scope, checkpoint: int | None = None) -> Exported:
    """Export a scope in one format, in a new process."""
    asked = ExportAsked(scope, (name,), checkpoint)
    with running(MODULE, url, str(directory), msgspec.json.encode(asked).decode()) as process:
        return msgspec.json.decode(process.hear(), type=Exported)


def main(url: str, directory: str, asked: str) -> None:
    """Export, and print what it came to."""
    began = perf_counter()
    manifest = export(url, Path(directory), msgspec.json.decode(asked, type=ExportAsked), unheard)
    seconds = perf_counter() - began
    size = sum(file.bytes for file in manifest.files)
    done = Exported(manifest.counts.legs, manifest.counts.events, size, seconds, own_peak_bytes())
    print(msgspec.json.encode(done).decode())


def own_peak_bytes() -> int:
    """Return the most memory that this program held; what its parent held before the start is none of it."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return peak_bytes()


def unheard(name: str, rows: int, total: int) -> None:
    """Nobody looks at the progress."""


if __name__ == "__main__":
    main(*sys.argv[1:])
