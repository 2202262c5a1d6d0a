"""Small files that are whole or not there, whenever the process or the machine stops."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time

UNFINISHED = ".unfinished"
ABANDONED_SECONDS = 600.0
"""An unfinished file this old belongs to a process that was killed."""


def make_directory(directory: Path) -> None:
    """Make a directory that only its owner may read, so that it is still there after a power cut."""
    for path in reversed((directory, *directory.parents)):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)
            sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Return once the names in a directory are on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Return once a file with this content is on disk. Nobody ever sees a part of it. Raises OSError."""
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def remove_abandoned(directory: Path) -> None:
    """Remove what processes left that were killed while they wrote: nobody was told that it is kept."""
    for path in directory.glob(f".*{UNFINISHED}"):
        try:
            if time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue


@contextmanager
def turn(path: Path) -> Iterator[bool]:
    """Yield whether this is the only one that has a turn now, over all processes; a turn ends with its process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
