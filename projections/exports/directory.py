"""The directory that an export fills: nothing in it looks complete before everything in it is.

Files are written under another name, on disk before any of them gets its own, and the manifest gets its name last.
Whatever ends an export before, a directory without a manifest is none.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from projections.exports.spans import ExportRefused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["MANIFEST", "ExportDirectory", "HashedFile"]

MANIFEST = "manifest.json"
UNFINISHED = ".part"
BUFFER_BYTES = 2**20


class HashedFile(io.RawIOBase):
    """A new file that knows the size and the SHA-256 of what was written to it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of what was written so far."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.size

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write what the disk takes at once, and return how much that was."""
        view = memoryview(content).cast("B")
        written = os.write(self._descriptor, view)
        self._hash.update(view[:written])
        self.size += written
        return written

    def sync(self) -> None:
        """Wait until the disk has everything."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class ExportDirectory:
    """A directory that does not exist yet or is empty, from the first file to the last name.

    Leaving the block without `finish` removes what was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_new = False
        self._unfinished: list[Path] = []
        self._files: list[Path] = []

    def __enter__(self) -> Self:
        try:
            self._is_new = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise ExportRefused(f"{self.path} is not empty: name a directory that does not exist yet")
        except OSError as error:
            raise ExportRefused(f"{self.path} can't be made: {error.strerror}") from error
        return self

    @contextmanager
    def new_file(self, name: str) -> Iterator[tuple[BinaryIO, HashedFile]]:
        """Yield a buffered file to write to, and what knows its size and hash after the block; it is on disk then."""
        path = self.path / (name + UNFINISHED)
        try:
            opened = HashedFile(path)
        except FileExistsError as error:
            raise ExportRefused(f"another export is being written to {self.path}") from error
        with opened as file:
            self._unfinished.append(path)
            with io.BufferedWriter(file, BUFFER_BYTES) as out:
                yield out, file
                out.flush()
                file.sync()

    def finish(self, manifest: bytes) -> None:
        """Write the manifest and give every file its name, the manifest last."""
        with self.new_file(MANIFEST) as (out, _):
            out.write(manifest)
        for path in list(self._unfinished):
            if path.name == MANIFEST + UNFINISHED:
                # The other names are on disk before this one is.
                self._sync()
            self._files.append(path.with_name(path.name.removesuffix(UNFINISHED)))
            path.rename(self._files[-1])
            self._unfinished.remove(path)
        self._sync()
        self._files.clear()

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path in (*reversed(self._files), *self._unfinished):
            path.unlink(missing_ok=True)
        if kind is not None and self._is_new:
            with suppress(OSError):
                self.path.rmdir()
        if isinstance(error, OSError):
            raise ExportRefused(f"{self.path} can't be written: {error.strerror}") from error
