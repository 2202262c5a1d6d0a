"""The audit round trip on the command line: a key, a checkpoint kept outside, an export, and a forgery of it."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.database import URL_VARIABLE
from gateway.signing_key import KeyFileUnusable, create_key_file, read_private_key
from ledger.checkpoint.keys import VerifierKey
from ledger.checkpoint.note import read_checkpoint_note
from ledger.service import Ledger
from tests.integration.read_side import tell
from tests.integration.scenes import do, pay, set_up
from tests.integration.test_api_receipts import command
from tests.source_tree import ROOT


@pytest.fixture
def there(ledger: Ledger) -> dict[str, str]:
    """Where a database is in which everything has happened."""
    set_up(ledger)
    tell(ledger)
    return {URL_VARIABLE: ledger.url}


def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    """A new key is readable by its owner only, and no file is ever overwritten, followed by a link or made twice."""
    file = tmp_path / "signing.pem"
    done = command("audit", "new-key", str(file))
    assert (done.returncode, done.stdout, stat.S_IMODE(file.stat().st_mode)) == (0, "", 0o600)
    content = file.read_bytes()
    assert "PRIVATE" not in done.stderr
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for taken in (file, tmp_path / "link", tmp_path / "no" / "folder"):
        again = command("audit", "new-key", str(taken))
        assert (again.returncode, "Traceback" in again.stderr) == (1, False)
    assert (file.read_bytes(), (tmp_path / "elsewhere").exists()) == (content, False)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A key with wider permissions, another kind of key, or none at all is not taken."""
    file = tmp_path / "signing.pem"
    create_key_file(file)
    assert read_private_key(file).private_bytes_raw() != bytes(32)
    for mode in (0o640, 0o604, 0o620):
        file.chmod(mode)
        with pytest.raises(KeyFileUnusable, match="chmod 600"):
            read_private_key(file)
    for content in ("", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        other = tmp_path / f"other-{len(content)}"
        other.touch(0o600)
        other.write_text(content, encoding="utf-8")
        with pytest.raises(KeyFileUnusable, match="no unencrypted private key"):
            read_private_key(other)
    with pytest.raises(KeyFileUnusable, match="can't be read"):
        read_private_key(tmp_path / "none")


def test_the_round_trip(there: dict[str, str], ledger: Ledger, tmp_path: Path) -> None:
    """What the commands make of each other: key, checkpoint, proof, export, verification, and a forgery's end."""
    key_file, note_file, export = tmp_path / "key.pem", tmp_path / "note.txt", tmp_path / "export"
    assert command("audit", "key", **there).returncode == 1
    command("audit", "new-key", str(key_file))
    signed = there | {"ROUTE_LEDGER_SIGNING_KEY": str(key_file)}
    made = command("audit", "checkpoint", "--out", str(note_file), **signed)
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    assert "proves nothing" in made.stderr
    printed = command("audit", "checkpoint", **signed)
    assert printed.stdout == note_file.read_text(encoding="utf-8")
    assert command("audit", "checkpoint", "--out", str(note_file), **signed).returncode == 1
    key = command("audit", "key", **there).stdout.strip()
    stated = read_checkpoint_note(note_file.read_text(encoding="utf-8"), [VerifierKey.parse(key)])
    proof = json.loads(command("audit", "prove", "acme", **there).stdout)
    assert (proof["workspace_id"], proof["checkpoint"]["checkpoint"]) == ("acme", stated.checkpoint)
    for words in (("nobody",), ("acme", "--checkpoint", "9")):
        assert command("audit", "prove", *words, **there).returncode == 1

    do(ledger, pay("acme", "credit", "1", "after"))
    formats = ("--format", "csv,jsonl,beancount,hledger,parquet")
    done = command("audit", "export", str(export), *formats, "--checkpoint", "1", **there)
    assert done.returncode == 0, done.stderr
    asked = ("audit", "verify-export", str(export / "manifest.json"), "--checkpoint", str(note_file), "--key", key)
    verified = command(*asked)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.splitlines()[-1].startswith(f"verified: {stated.events:,} events, ")
    assert "journal.beancount was not compared with the events" in verified.stdout
    alone = run_alone(export / "manifest.json", note_file, key)
    assert (alone.returncode, alone.stdout) == (0, verified.stdout)

    forge(
        export, "journal.csv", b"wallet.available,funding.alipay,3.000000", b"wallet.available,funding.alipay,2.000000"
    )
    caught = command(*asked)
    assert caught.returncode == 1
    (finding,) = [line for line in caught.stdout.splitlines() if line.startswith("FINDING")]
    assert ("book acme, position" in finding, "csv row" in finding, "3.000000" in finding) == (True, True, True)
    assert caught.stdout.splitlines()[-1] == "NOT VERIFIED: 1 findings"


def forge(export: Path, name: str, old: bytes, new: bytes) -> None:
    """Change bytes of a file, and its SHA-256 in the manifest with them."""
    content = (export / name).read_bytes()
    assert content.count(old) == 1
    (export / name).write_bytes(content.replace(old, new))
    manifest = json.loads((export / "manifest.json").read_bytes())
    for file in manifest["files"]:
        if file["name"] == name:
            file["sha256"] = hashlib.sha256((export / name).read_bytes()).hexdigest()
    (export / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def run_alone(manifest: Path, note: Path, key: str) -> subprocess.CompletedProcess[str]:
    """Run the verifier as an auditor does: its file by itself, isolated from everything that is installed."""
    module = ROOT / "projections" / "audit" / "verify_export.py"
    words = [sys.executable, "-I", "-S", str(module), str(manifest), "--checkpoint", str(note), "--key", key]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))


@pytest.mark.parametrize("period", [(), ("--from", "2020-01-01"), ("--to", "2020-01-01"), ("--workspace", "acme")])
def test_real_exports_are_verified(there: dict[str, str], tmp_path: Path, period: tuple[str, ...]) -> None:
    """Exports of everything, of a period with and without entries, and of one workspace, with a new checkpoint each."""
    key_file, export, note = tmp_path / "key.pem", tmp_path / "export", tmp_path / "note"
    create_key_file(key_file)
    done = command("audit", "export", str(export), *period, "--signing-key", str(key_file), **there)
    assert done.returncode == 0, done.stderr
    note.write_text(json.loads((export / "manifest.json").read_bytes())["checkpoint"], encoding="utf-8")
    key = command("audit", "key", **there).stdout.strip()
    alone = run_alone(export / "manifest.json", note, key)
    assert alone.returncode == 0, alone.stdout


def test_a_key_is_rotated(there: dict[str, str], tmp_path: Path) -> None:
    """A second key is refused until it is put in the place of the first, with a reason; then both are told."""
    for name in ("one", "two"):
        create_key_file(tmp_path / name)
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert command("audit", "checkpoint", **there).returncode == 1
    assert command("audit", "checkpoint", "--signing-key", one, **there).returncode == 0
    refused = command("audit", "checkpoint", "--signing-key", two, **there)
    assert (refused.returncode, "rotate-key" in refused.stderr) == (1, True)
    rotated = command("audit", "rotate-key", two, "--reason", "a laptop was lost", **there)
    assert rotated.returncode == 0, rotated.stderr
    lines = command("audit", "key", **there).stdout.splitlines()
    assert (len(lines), lines[1]) == (2, rotated.stdout.strip())
    again = command("audit", "rotate-key", two, "--reason", "again", **there)
    assert (again.returncode, "signs checkpoints already" in again.stderr) == (1, True)
    for file, code in ((one, 1), (two, 0)):
        assert command("audit", "checkpoint", "--signing-key", file, **there).returncode == code
