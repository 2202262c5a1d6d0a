"""`route-ledger audit verify`: a line and exit code 1 for what was touched, 0 where nothing was, 2 for wrong usage."""

import json
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import command_line
from gateway.database import URL_VARIABLE
from gateway.signing_key import publish_first_key
from ledger.checkpoint.note import Signer
from ledger.service import Ledger
from ledger.store.checkpoints import make_checkpoint, read_origin
from tests.integration.read_side import ask, tell
from tests.integration.route_tables import follow_all
from tests.integration.scenes import do, pay, set_up

VERIFIED = "chains intact, entries = events, balances = entries"


@pytest.fixture
def told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that has seen everything, which the tools find by its URL."""
    set_up(ledger)
    tell(ledger)
    follow_all(ledger.url)
    monkeypatch.setenv(URL_VARIABLE, ledger.url)
    return ledger


def run(*words: str) -> object:
    """Run `route-ledger audit verify` and return its exit code."""
    return command_line.app(["audit", "verify", *words], result_action="return_value")


def test_nothing_touched(told: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """What was checked is said in numbers; nothing but that goes to standard output."""
    assert run() == 0
    said = capsys.readouterr()
    events = ask(told.url, "select sum(position) from ledger.book")[0][0]
    assert said.out.startswith(f"verified: {events} events, ")
    assert said.out.endswith(VERIFIED + "\n")
    assert f"{events} events of 2 books in " in said.err


def test_something_touched(told: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding is a line: whose book, where, what, what it must be and what is there."""
    ask(told.url, "update projections.leg set minor = minor + 1 where position = 5")
    assert run("--workspace", "acme") == 1
    said = capsys.readouterr()
    assert said.out == "FINDING in acme at 5: leg credit 1 minor: must be 1000000000, found 1000000001\n"
    assert "verification FAILED, findings: 1\n" in said.err
    assert run("--json") == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding == {
        "workspace_id": "acme", "position": 5, "what": "leg credit 1 minor", "expected": "1000000000",
        "found": "1000000001",
    }  # fmt: skip


def test_what_is_behind_is_said(told: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """A projection that has not come up is no finding, but nobody may believe that all was checked."""
    do(told, pay("acme", "credit", "1", "later"))
    assert run() == 0
    said = capsys.readouterr().err
    assert "acme: the journal is 1 event behind and was checked up to position" in said
    assert "acme: the route ledger is 1 event behind" in said


def test_a_kept_checkpoint(told: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A note that was kept outside is held against the books, signed by the key that was kept with it."""
    with closing(psycopg.connect(told.url)) as connection:
        signer = Signer(read_origin(connection), Ed25519PrivateKey.generate())
    publish_first_key(told, signer)
    kept = tmp_path / "checkpoint.txt"
    kept.write_text(make_checkpoint(told.url, signer).note, encoding="utf-8")
    asked = ("--checkpoint", str(kept), "--key", signer.key.line)
    assert run(*asked) == 0
    assert "the kept checkpoint is in these books" in capsys.readouterr().out
    ask(told.url, "alter table ledger.checkpoint disable trigger all; delete from ledger.checkpoint")
    assert run(*asked) == 1
    assert "FINDING in platform: kept checkpoint 1: " in capsys.readouterr().out


def test_wrong_usage(told: Ledger, tmp_path: Path) -> None:
    """An unknown workspace, a file that is not there and a key without a checkpoint are wrong usage."""
    for words, why in (
        (("--workspace", "nobody"), "nobody"),
        (("--checkpoint", str(tmp_path / "none")), "none"),
        (("--key", "x"), "--checkpoint"),
    ):
        with pytest.raises(Exception, match=why) as caught:
            run(*words)
        assert getattr(caught.value, "exit_code", None) == 2
