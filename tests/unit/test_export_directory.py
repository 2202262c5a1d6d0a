"""The directory of an export: nothing in it looks complete before everything is, and what fails leaves nothing."""

import hashlib
import os
from errno import ENOSPC
from pathlib import Path

import pytest

from projections.exports.directory import ExportDirectory
from projections.exports.spans import ExportRefused

CONTENT = b"one\ntwo\n" * 300_000


def write(directory: ExportDirectory, name: str, content: bytes = CONTENT) -> tuple[int, str]:
    """Write a file and return what it came to."""
    with directory.new_file(name) as (out, file):
        for start in range(0, len(content), 100_003):
            out.write(content[start : start + 100_003])
    return file.size, file.sha256


def names_in(path: Path) -> list[str]:
    """Return the names in a directory."""
    return sorted(each.name for each in path.iterdir())


def test_files_get_their_names_at_the_end(tmp_path: Path) -> None:
    """Until the manifest is written each file is called unfinished; size and SHA-256 are those of what is there."""
    path = tmp_path / "new" / "export"
    with ExportDirectory(path) as directory:
        came_to = write(directory, "a.csv")
        write(directory, "b.jsonl", b"")
        assert names_in(path) == ["a.csv.part", "b.jsonl.part"]
        directory.finish(b"{}")
    assert names_in(path) == ["a.csv", "b.jsonl", "manifest.json"]
    assert came_to == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert ((path / "a.csv").read_bytes(), (path / "manifest.json").read_bytes()) == (CONTENT, b"{}")


def test_the_manifest_gets_its_name_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees a manifest sees all that it names: files are on disk before they are named, and it comes last."""
    steps: list[str] = []
    rename, fsync = Path.rename, os.fsync

    def renamed(self: Path, target: Path) -> Path:
        steps.append(target.name)
        return rename(self, target)

    def synced(descriptor: int) -> None:
        steps.append("disk")
        fsync(descriptor)

    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    with ExportDirectory(tmp_path / "export") as directory:
        write(directory, "a.csv")
        directory.finish(b"{}")
    assert steps == ["disk", "disk", "a.csv", "disk", "manifest.json", "disk"]


@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_fails_leaves_nothing(tmp_path: Path, existed: bool, error: type[BaseException]) -> None:
    """Files that were written go with the failure, and the directory too if it was made for it."""
    path = tmp_path / "export"
    if existed:
        path.mkdir()

    def export() -> None:
        with ExportDirectory(path) as directory:
            write(directory, "a.csv")
            with directory.new_file("b.csv") as (out, _):
                out.write(CONTENT)
                raise error

    with pytest.raises(error):
        export()
    assert names_in(tmp_path) == (["export"] if existed else [])
    assert not existed or names_in(path) == []


def test_a_failure_between_the_names_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that were given already are taken back when the manifest cannot get its own."""
    rename = Path.rename

    def renamed(self: Path, target: Path) -> Path:
        if target.name == "manifest.json":
            raise OSError(ENOSPC, "no more room")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renamed)

    def export() -> None:
        with ExportDirectory(tmp_path / "export") as directory:
            write(directory, "a.csv")
            directory.finish(b"{}")

    with pytest.raises(ExportRefused, match="export can't be written: no more room"):
        export()
    assert names_in(tmp_path) == []


def test_a_directory_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    """What is there is not touched, whatever it is; neither is a file of the directory's name."""
    (tmp_path / "something").write_bytes(b"mine")
    with pytest.raises(ExportRefused, match="is not empty"), ExportDirectory(tmp_path):
        raise AssertionError("it was entered")
    with pytest.raises(ExportRefused, match="can't be made"), ExportDirectory(tmp_path / "something"):
        raise AssertionError("it was entered")
    assert (tmp_path / "something").read_bytes() == b"mine"


def test_two_exports_never_write_one_file(tmp_path: Path) -> None:
    """Of two that find a directory empty the later one fails, and takes away only what is its own."""
    with ExportDirectory(tmp_path) as first:
        with pytest.raises(ExportRefused, match="another export"), ExportDirectory(tmp_path) as second:
            write_both(first, second)
        assert names_in(tmp_path) == ["a.csv.part"]
        first.finish(b"{}")
    assert names_in(tmp_path) == ["a.csv", "manifest.json"]


def write_both(first: ExportDirectory, second: ExportDirectory) -> None:
    """Write a file of one name for two exports."""
    write(first, "a.csv")
    write(second, "a.csv")
