"""What somebody can do to an export who may rewrite every file and the manifest, but not the kept checkpoint."""

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ledger.store.chain import leaf_digest, next_digest, start_digest
from projections.audit.verify_export import Verification, parse_key
from tests.unit import small_export
from tests.unit.small_export import SIGNER, Line, dump, forge_manifest, rows_of, write_files

KEYS = [parse_key(SIGNER.key.line)]
Lines = list[Line]


class Export:
    """An honest export in a folder, and what the verifier says of it after somebody was at it."""

    def __init__(self, folder: Path, **period: Any) -> None:
        self.folder = folder
        self.note = small_export.write_export(folder, small_export.two_books(), **period)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.manifest: dict[str, Any] = json.loads(self.files["manifest.json"])
        self.lines: Lines = [json.loads(line) for line in self.files["journal.jsonl"].splitlines()]
        self.rows = self.files["journal.csv"].decode().splitlines()[1:]

    def findings(self) -> list[str]:
        """Return what the verifier finds in the files as they are, and put the honest ones back."""
        verification = Verification(self.folder / "manifest.json", assume_scales=True)
        verification.check(self.note, KEYS)
        for name, content in self.files.items():
            (self.folder / name).write_bytes(content)
        return verification.findings

    def forge(
        self, lines: Sequence[Line | str], rows: Sequence[str] | None = None, manifest: dict[str, Any] | None = None
    ) -> list[str]:
        """Write other lines and rows, with a manifest that fits them, and return what is found."""
        texts = [line if isinstance(line, str) else dump(line) for line in lines]
        write_files(self.folder, texts, self.rows if rows is None else rows)
        forge_manifest(self.folder, manifest)
        return self.findings()

    def forge_all(self, lines: Lines) -> list[str]:
        """Write other lines as a whole book would be: positions, chain, rows, manifest, all but the checkpoint."""
        manifest = copy.deepcopy(self.manifest)
        rechain(lines)
        for book in manifest["books"]:
            own = [line for line in lines if line["workspace_id"] == book["workspace_id"]]
            book |= {"position": len(own), "last_position": len(own), "digest": own[-1]["digest"]}
        return self.forge(lines, [row for line in lines for row in rows_of(line)], manifest)


def rechain(lines: Lines) -> None:
    """Number the lines of each book and chain them anew."""
    ends: dict[str, tuple[int, bytes]] = {}
    for line in lines:
        name = line["workspace_id"]
        position, before = ends.get(name, (0, start_digest(name)))
        line["position"] = position + 1
        leaf = leaf_digest(
            name, position + 1, line["stream"], line["version"], line["tag"], line["command_id"], line["recorded_at"],
            line["state"].encode(),
        )  # fmt: skip
        ends[name] = (position + 1, next_digest(before, leaf))
        line["digest"] = ends[name][1].hex()


def other_value(value: Any) -> Any:
    """Return another value of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str() if value[-1:].isdigit():
            return value[:-1] + str((int(value[-1]) + 1) % 10)
        case str():
            return value + "x"
        case None:
            return 5
    raise TypeError(type(value))


def changes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the path of everything in a JSON value that is no container, with another value."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from changes(inner, (*path, key))
    else:
        yield path, other_value(value)


def changed(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """Return a copy of a JSON value with another one at a path."""
    result = copy.deepcopy(value)
    place = result
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = other
    return result


def replaced(lines: Lines, index: int, *others: Any) -> list[Any]:
    """Return copies of lines with others in the place of one."""
    return [*copy.deepcopy(lines[:index]), *others, *copy.deepcopy(lines[index + 1 :])]


def with_other_legs(line: Line) -> Iterator[Line]:
    """Yield copies of a line with an entry or a leg less, doubled, made up or turned round."""
    made_up = ["promotion", "wallet.available", "1.000000"]
    if not line["entries"]:
        yield {**line, "entries": [{"bucket": "credit", "unit": "CREDIT", "legs": [made_up]}]}
    for number, entry in enumerate(line["entries"]):
        before, after = line["entries"][:number], line["entries"][number + 1 :]
        yield {**line, "entries": [*before, *after]}
        yield {**line, "entries": [*line["entries"], entry]}
        for place, leg in enumerate(entry["legs"]):
            others = [*entry["legs"][:place], *entry["legs"][place + 1 :]]
            turned_round = [*others[:place], [leg[1], leg[0], leg[2]], *others[place:]]
            for legs in (others, [*others, leg, leg], [*entry["legs"], made_up], turned_round):
                yield {**line, "entries": [*before, {**entry, "legs": legs}, *after]}
