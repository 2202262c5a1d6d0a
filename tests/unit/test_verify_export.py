"""The offline verifier against somebody who may rewrite every file and the manifest, but not the kept checkpoint.

Each attack is made at every position of two small books with every kind of event, in every field.
"""

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from projections.audit import verify_export
from projections.audit.verify_export import HEAD, Verification, hash_fields, open_checkpoint
from tests.source_tree import ROOT
from tests.unit import small_export
from tests.unit.export_attacks import KEYS, Export, changed, changes, other_value, replaced, with_other_legs
from tests.unit.small_export import BEGIN, HOUR, OTHER, SIGNER, dump, forge_manifest, rows_of

MODULE = ROOT / "projections" / "audit" / "verify_export.py"
NOT_EVIDENCE = {("scope", "zone"), ("books", "time_zone"), ("checkpoint",), ("scope", "effective_from")}
"""What the manifest says for people only: nothing follows from it. (A period from 1970 on is all of it, too.)"""


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Export]:
    """An export of everything. Its signature is checked once: that is most of a verification of so few events."""
    opened = Export(tmp_path_factory.mktemp("export"))
    known = {opened.note: open_checkpoint(opened.note, KEYS)}
    patch = pytest.MonkeyPatch()
    patch.setattr(verify_export, "open_checkpoint", lambda note, keys: known.get(note) or open_checkpoint(note, keys))
    yield opened
    patch.undo()


def test_an_honest_export_is_verified(export: Export) -> None:
    """Nothing is found in what was not touched, and everything is counted."""
    assert export.findings() == []
    verification = Verification(export.folder / "manifest.json")
    verification.check(export.note, KEYS)
    assert verification.counts == export.manifest["counts"]
    assert verification.counts["events"] == len(export.lines) > 35
    assert verification.rows == {"jsonl": len(export.lines), "csv": len(export.rows)}


def test_every_field_of_every_line(export: Export) -> None:
    """Any field of any line changed, legs and amounts too, is found, and the finding names line, book and position."""
    tried = 0
    for index, line in enumerate(export.lines):
        for path, other in changes(line):
            found = export.forge(replaced(export.lines, index, changed(line, path, other)))
            assert found, (index, path)
            place = f"jsonl line {index + 1}, book {line['workspace_id']}, position {line['position']}: "
            assert any(finding.startswith(place) for finding in found), (path, found)
            tried += 1
    assert tried > 400


def test_every_fact_in_every_event(export: Export) -> None:
    """Any fact inside any event changed is found: left at that, or with its legs, the chain and all else made anew."""
    tried = 0
    for index, line in enumerate(export.lines):
        fact = json.loads(line["state"])
        for path, other in changes(fact):
            forged = {**line, "state": dump(changed(fact, path, other))}
            assert export.forge(replaced(export.lines, index, forged)), (index, path)
            assert export.forge_all(replaced(export.lines, index, forged)), (index, path)
            tried += 1
    assert tried > 400


def test_every_leg_dropped_added_or_doubled(export: Export) -> None:
    """A leg or an entry missing, doubled, turned round or made up is found, with the rows to match."""
    tried = 0
    for index, line in enumerate(export.lines):
        for forged in with_other_legs(line):
            lines = replaced(export.lines, index, forged)
            assert export.forge(lines, [row for each in lines for row in rows_of(each)]), (index, forged)
            tried += 1
    assert tried > 90


@pytest.mark.parametrize("everything", [False, True])
def test_lines_dropped_added_doubled_and_exchanged(export: Export, everything: bool) -> None:
    """A line missing, doubled or exchanged with its neighbour is found, even where all that follows is made anew."""
    forge = export.forge_all if everything else export.forge
    for index, line in enumerate(export.lines[:-1]):
        forgeries = [
            replaced(export.lines, index, copy.deepcopy(line), copy.deepcopy(line)),
            [*replaced(export.lines, index), copy.deepcopy(line)],
        ]
        following = export.lines[index + 1]
        if line["workspace_id"] == following["workspace_id"]:
            forgeries.append(replaced(export.lines, index))
            forgeries.append([*export.lines[:index], following, line, *export.lines[index + 2 :]])
        for lines in forgeries:
            assert forge(copy.deepcopy(lines)), index


def test_a_line_missing_is_said_once(export: Export) -> None:
    """Where a line is missing the one finding says what stands there instead, and not how all that follows differs."""
    found = export.forge([*export.lines[:4], *export.lines[5:]])
    assert len(found) == 1
    assert found[0].startswith("jsonl line 5, book acme, position 5: checked no further")
    assert "['acme', 6]" in found[0]


def test_the_columns_of_the_csv_file_are_named_truly(export: Export) -> None:
    """Names of columns exchanged in the header are found: they would turn debit and credit round."""
    content = export.files["journal.csv"].replace(b"debit_account,credit_account", b"credit_account,debit_account", 1)
    (export.folder / "journal.csv").write_bytes(content)
    forge_manifest(export.folder)
    assert any("header of the csv file" in finding for finding in export.findings())


def test_every_tail_that_can_be_cut(export: Export) -> None:
    """A book that ends earlier is found, though its manifest, its chain and the counts end with it."""
    own = [line for line in export.lines if line["workspace_id"] == "acme"]
    rest = [line for line in export.lines if line["workspace_id"] != "acme"]
    for length in range(1, len(own)):
        lines = copy.deepcopy([*own[:length], *rest])
        assert any("root of the checkpoint" in finding for finding in export.forge_all(lines)), length
        assert export.forge(lines), length


def test_events_after_the_checkpoint_are_no_part_of_it(export: Export) -> None:
    """An event too many at the end of a book is found, whether the manifest knows of it or not."""
    more = {**copy.deepcopy(export.lines[-1]), "command_id": "more", "entries": []}
    assert export.forge_all([*copy.deepcopy(export.lines), more])
    assert any("what follows" in finding for finding in export.forge([*export.lines, more]))


def test_a_book_less(export: Export) -> None:
    """A book left out with its files and its place in the manifest is found where all books were asked for."""
    manifest = {**export.manifest, "books": export.manifest["books"][1:]}
    found = export.forge(export.lines[-1:], [], manifest)
    assert any("names of books" in finding for finding in found)
    manifest = {**export.manifest, "books": export.manifest["books"][::-1]}
    assert export.forge([export.lines[-1], *export.lines[:-1]], None, manifest)
    manifest = {**export.manifest, "books": [export.manifest["books"][0]] * 2}
    assert export.forge(export.lines, None, manifest)


def test_every_field_of_every_row(export: Export) -> None:
    """Any field of any row of the csv file changed is found, and so is a row less, more, doubled or exchanged."""
    rows = export.rows
    for index, row in enumerate(rows):
        fields = row.split(",")
        forgeries = [[*rows[:index], *rows[index + 1 :]], [*rows[:index], row, row, *rows[index + 1 :]]]
        forgeries += [[*rows[:index], *rows[index + 1 : index + 2], row, *rows[index + 2 :]]] * (row != rows[-1])
        for number, field in enumerate(fields):
            forged = ",".join([*fields[:number], other_value(field), *fields[number + 1 :]])
            forgeries.append([*rows[:index], forged, *rows[index + 1 :]])
        for forgery in forgeries:
            assert export.forge(export.lines, forgery), (index, forgery)
    found = export.forge(export.lines, [rows[0].replace("wallet", "Wallet"), *rows[1:]])
    assert [finding.partition(":")[0].startswith("jsonl line") for finding in found] == [True]
    assert "csv row 1 is" in found[0]


def test_bytes_all_over_the_files(export: Export) -> None:
    """A byte changed, removed or put in anywhere is found: a line has one spelling, so that white space counts too."""
    for name, step in (("journal.jsonl", 61), ("journal.csv", 13)):
        content = export.files[name]
        for place in range(0, len(content), step):
            for new in (bytes([content[place] ^ 1]), b"", content[place : place + 1] + b" "):
                (export.folder / name).write_bytes(content[:place] + new + content[place + 1 :])
                forge_manifest(export.folder)
                assert export.findings(), (name, place, new)


def test_a_file_that_is_not_the_manifests(export: Export) -> None:
    """A file whose SHA-256, size or number of rows the manifest states otherwise is found without any other fault."""
    for path, other in changes(export.manifest["files"], ("files",)):
        forged = changed(export.manifest, path, other)
        (export.folder / "manifest.json").write_text(json.dumps(forged), encoding="utf-8")
        assert export.findings(), path


def test_every_field_of_the_manifest(export: Export) -> None:
    """Anything in the manifest changed is found, but for what it says for people only."""
    for path, other in changes(export.manifest):
        names = tuple(part for part in path if isinstance(part, str))
        forged = changed(export.manifest, path, other)
        (export.folder / "manifest.json").write_text(json.dumps(forged), encoding="utf-8")
        assert bool(export.findings()) == (names not in NOT_EVIDENCE), path


def test_another_scale_for_the_wallets(export: Export) -> None:
    """The point of all amounts of a wallet moved, in files and manifest alike, is found."""
    manifest, lines = copy.deepcopy(export.manifest), copy.deepcopy(export.lines)
    manifest["books"][0]["wallets"][0]["scale"] = 5
    for line in lines:
        for entry in line["entries"]:
            if entry["bucket"] == "credit":
                entry["legs"] = [[*leg[:2], leg[2][:-7] + leg[2][-6] + "." + leg[2][-5:]] for leg in entry["legs"]]
    found = export.forge(lines, [row for line in lines for row in rows_of(line)], manifest)
    assert any("decimal places" in finding for finding in found)


def test_a_checkpoint_of_the_attackers_own(tmp_path: Path) -> None:
    """A whole other history with its own checkpoint fails at the kept one, and its own at the key."""
    export = Export(tmp_path)
    books = small_export.two_books({7: BEGIN + 1})
    forged_note = small_export.write_export(tmp_path, books)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert any("another checkpoint" in finding for finding in export.findings())
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    manifest = json.loads(files["manifest.json"])
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "checkpoint": export.note}), encoding="utf-8")
    assert any("root of the checkpoint" in finding for finding in export.findings())
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    export.note = small_export.sign(books, OTHER)
    assert (export.findings(), forged_note != export.note) == (
        ["checkpoint: checked no further: ValueError it is signed by none of the keys"], True,
    )  # fmt: skip


def test_a_proof_that_hashes_something_else_is_none(export: Export) -> None:
    """A path whose pieces only hash to the root, without the book's head among them, proves nothing."""
    lines = copy.deepcopy(export.lines)
    books = export.manifest["books"]
    leaves = [head_of(book) for book in books]
    assert len(leaves) == 2
    for path in (["", (leaves[0] + leaves[1]).hex()], [(leaves[0] + leaves[1]).hex()], [leaves[1].hex(), ""]):
        manifest = copy.deepcopy(export.manifest)
        manifest["books"][0]["proof"] = {"index": 0, "path": path}
        assert any("not one of this place" in finding for finding in export.forge(lines, None, manifest)), path


def head_of(book: dict[str, Any]) -> bytes:
    """Return the leaf of a book's head."""
    name, digest = book["workspace_id"].encode(), bytes.fromhex(book["digest"])
    return hash_fields(b"\0", HEAD, name, b"%d" % book["position"], digest)


def test_what_is_not_listed_is_found(export: Export) -> None:
    """A file beside the manifest that it does not name could be taken for verified."""
    manifest = copy.deepcopy(export.manifest)
    manifest["files"] = [file for file in manifest["files"] if file["format"] != "csv"]
    (export.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert any("leaves out" in finding for finding in export.findings())


def test_wallets_opened_since_the_checkpoint_are_no_finding(export: Export) -> None:
    """The manifest may state wallets that the checkpoint does not know: nothing is posted to them."""
    manifest = copy.deepcopy(export.manifest)
    manifest["books"][0]["wallets"].append({"bucket": "zz", "unit": "CNY", "scale": 6})
    (export.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert export.findings() == []


def test_stated_decimal_places_are_taken_only_when_asked(tmp_path: Path) -> None:
    """The export of a period that begins after its wallets were opened is verified only by who knows their scales."""
    export = Export(tmp_path, begin=BEGIN + 10 * HOUR, end=BEGIN + 20 * HOUR)
    verification = Verification(tmp_path / "manifest.json")
    verification.check(export.note, KEYS)
    assert any("--assume-scales" in finding for finding in verification.findings)


def test_a_note_survives_the_mail(export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line ends of another system and empty lines at the end are no forgery; what is quoted steers no terminal."""
    note = tmp_path / "note.txt"
    note.write_bytes(export.note.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    words = [SIGNER.key.line]
    assert verify_export.verify(export.folder / "manifest.json", note, words) == 0
    manifest = {**export.manifest, "scope": {**export.manifest["scope"], "workspace_id": "\x1b[8mverified"}}
    (export.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert verify_export.verify(export.folder / "manifest.json", note, words) == 1
    assert "\x1b" not in capsys.readouterr().out
    export.findings()


def test_a_period_begins_early_enough(tmp_path: Path) -> None:
    """The export of a period is verified; one that begins an event later, and so may lack one, is not."""
    export = Export(tmp_path, begin=BEGIN + 10 * HOUR, end=BEGIN + 20 * HOUR)
    first = export.manifest["books"][0]["first_position"]
    assert (export.findings(), first, export.manifest["counts"]["events"]) == ([], 9, 32)
    manifest = copy.deepcopy(export.manifest)
    manifest["books"][0] |= {"first_position": first + 1, "previous_digest": export.lines[0]["digest"]}
    assert any("before the period" in finding for finding in export.forge(export.lines[1:], None, manifest))
    manifest["books"][0] |= {"first_position": first, "previous_digest": "00" * 32}
    assert export.forge(export.lines, None, manifest)


def test_what_is_late_belongs_to_its_period(tmp_path: Path) -> None:
    """An event recorded after the period but effective in it stands in the csv file, and is missed where not."""
    books = small_export.two_books({8: BEGIN + 5 * HOUR})
    note = small_export.write_export(tmp_path, books, BEGIN + 4 * HOUR, BEGIN + 6 * HOUR, "acme")
    rows = (tmp_path / "journal.csv").read_text(encoding="utf-8").splitlines()
    late = [row for row in rows if row.startswith("acme,8,")]
    assert late
    for content, count in (("\n".join(rows), 0), ("\n".join(row for row in rows if row not in late), 1)):
        (tmp_path / "journal.csv").write_text(content + "\n", encoding="utf-8", newline="")
        forge_manifest(tmp_path)
        verification = Verification(tmp_path / "manifest.json", assume_scales=True)
        verification.check(note, KEYS)
        assert bool(verification.findings) == bool(count)


def test_it_needs_nothing_but_python(export: Export, tmp_path: Path) -> None:
    """The module imports the standard library alone, and runs by itself in an empty folder, isolated."""
    tree = ast.parse(MODULE.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
    alone = tmp_path / "verify_export.py"
    alone.write_bytes(MODULE.read_bytes())
    (tmp_path / "note").write_text(export.note, encoding="utf-8")
    command = [sys.executable, "-I", "-S", "-E", str(alone), str(export.folder / "manifest.json"), "--checkpoint"]
    outcomes = []
    for note, key in (("note", SIGNER.key.line), ("note", OTHER.key.line), ("none", SIGNER.key.line), ("note", "key")):
        arguments = [*command, str(tmp_path / note), "--key", key]
        ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
        outcomes.append((ran.returncode, (ran.stdout or ran.stderr).splitlines()[-1].split(":")[0]))
    assert outcomes == [(0, "verified"), (1, "NOT VERIFIED"), (2, "nothing was checked"), (2, "nothing was checked")]
