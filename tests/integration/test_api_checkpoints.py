"""Checkpoints over HTTP: what an auditor reads, what a customer may see, and that a proof leads to the signed root."""

import base64
from collections.abc import Iterator
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.signing_key import publish_first_key
from ledger.checkpoint.keys import VerifierKey
from ledger.checkpoint.merkle import head_data, leaf_hash, verify_inclusion
from ledger.checkpoint.note import Signer, read_checkpoint_note
from ledger.service import Ledger
from ledger.store.checkpoints import make_checkpoint, read_origin
from ledger.store.connection import connect_writer
from tests.integration.api_scene import Api, open_scene, refusal
from tests.integration.scenes import ACME, do, pay, record, workspace_commands


@pytest.fixture(scope="module")
def api(module_ledger: Ledger) -> Iterator[Api]:
    """The API with two workspaces, two checkpoints, and a book that began after the first of them."""
    with open_scene(module_ledger) as opened:
        with closing(connect_writer(module_ledger.url)) as connection:
            signer = Signer(read_origin(connection), Ed25519PrivateKey.generate())
        assert refusal(opened.get("/checkpoints/latest"))[:2] == (404, "not_found")
        publish_first_key(module_ledger, signer)
        make_checkpoint(module_ledger.url, signer)
        record(module_ledger, workspace_commands("zeta"))
        do(module_ledger, pay(ACME, "credit", "1", "second"))
        make_checkpoint(module_ledger.url, signer)
        yield opened


def test_a_note_is_read_as_it_was_signed(api: Api) -> None:
    """By its number and as the latest one, as JSON and as the very text that is kept outside and verified."""
    latest = api.get("/checkpoints/latest").json()
    assert (latest, latest["checkpoint"]) == (api.get("/checkpoints/2").json(), 2)
    note = api.get("/checkpoints/2?format=note")
    assert (note.text, note.headers["content-type"]) == (latest["note"], "text/plain; charset=utf-8")
    (key,) = api.get("/signing-keys").json()["keys"]
    stated = read_checkpoint_note(note.text, [VerifierKey.parse(key["line"])])
    assert (stated.books, stated.events) == (latest["books"], latest["events"])
    assert (base64.b64encode(stated.root).decode(), key["key_id"]) == (latest["root"], latest["key_id"])
    assert api.get("/checkpoints/1").json()["books"] == latest["books"] - 1


def test_a_proof_leads_to_the_root(api: Api) -> None:
    """The answer for each book, taken as it is, proves the book's head in the signed root, at that place only."""
    for name in (ACME, "platform", "zeta"):
        answer = api.get(f"/workspaces/{name}/inclusion").json()
        checkpoint = answer["checkpoint"]
        leaf = leaf_hash(head_data(name, answer["position"], bytes.fromhex(answer["digest"])))
        path, root = [bytes.fromhex(each) for each in answer["path"]], base64.b64decode(checkpoint["root"])
        assert verify_inclusion(leaf, answer["index"], checkpoint["books"], path, root)
        assert not verify_inclusion(leaf, answer["index"] ^ 1, checkpoint["books"], path, root)
    first = api.get(f"/workspaces/{ACME}/inclusion?checkpoint=1").json()
    assert first["position"] == api.get(f"/workspaces/{ACME}/inclusion").json()["position"] - 1


def test_what_is_not_there_is_said(api: Api) -> None:
    """Unknown checkpoints, names that are none, books that had not begun and unknown parameters are refused."""
    for path in ("/checkpoints/3", "/checkpoints/0", "/checkpoints/-1", "/checkpoints/x", "/checkpoints/" + "9" * 19):
        assert refusal(api.get(path))[:2] == (404, "not_found"), path
    assert refusal(api.get("/workspaces/zeta/inclusion?checkpoint=1"))[:2] == (404, "not_found")
    assert refusal(api.get("/workspaces/nobody/inclusion")) == (404, "workspace_unknown", "workspace_id")
    assert refusal(api.get("/checkpoints/latest?format=pdf")) == (400, "field_invalid", "format")
    assert refusal(api.get("/checkpoints/latest?more=1")) == (400, "field_invalid", "more")


def test_a_customers_auditor_sees_their_own_book(api: Api) -> None:
    """A workspace's key with `audit` sees the note and its own proof, in which no other workspace is named."""
    auditor = api.key("auditor", ("audit",), ACME)
    reader = api.key("reader", ("read", "call"), ACME)
    for path in ("/checkpoints/latest", f"/workspaces/{ACME}/inclusion", "/signing-keys"):
        answer = api.get(path, auditor)
        assert (answer.status_code, "zeta" in answer.text, "platform" in answer.text) == (200, False, False)
        assert refusal(api.get(path, reader))[:2] == (403, "not_allowed")
    assert refusal(api.get("/workspaces/zeta/inclusion", auditor)) == (404, "workspace_unknown", "workspace_id")
    for scope, status in (("read", 200), ("audit", 200), ("fund", 403)):
        key = api.key(f"platform-{scope}", (scope,))  # type: ignore[arg-type]
        assert api.get("/checkpoints/latest", key).status_code == status


def test_the_description_knows_them(api: Api) -> None:
    """Each of the paths stands in the API's own description, with its answer."""
    paths = api.get("/openapi.json").json()["paths"]
    for path, schema in (
        ("/checkpoints/{checkpoint}", "CheckpointView"),
        ("/signing-keys", "SigningKeysView"),
        ("/workspaces/{workspace_id}/inclusion", "InclusionView"),
    ):
        answer = paths[f"/ledger/v1{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer == {"$ref": f"#/components/schemas/{schema}"}
