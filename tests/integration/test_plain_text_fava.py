"""Fava, an auditor's page on a journal in Beancount's syntax, opens an export: the real program, on a port."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import msgspec
import pytest

from ledger.service import Ledger
from projections.exports.account_names import account_name
from tests.integration.plain_text_reading import closings_of, transactions_of
from tests.integration.plain_text_scene import export, open_books

FAVA = Path(sys.executable).with_name("fava")
SCALES = {"CREDIT": 6, "CNY": 6, "POINT": 0}
START_SECONDS = 60
DECODER = msgspec.json.Decoder(float_hook=Decimal)


class Page(msgspec.Struct, frozen=True):
    """An export that Fava shows at an address."""

    text: str
    client: httpx.Client

    def asked(self, name: str) -> Any:
        """Return what Fava's own interface answers."""
        answer = self.client.get(f"api/{name}")
        assert answer.status_code == 200
        return DECODER.decode(answer.content)["data"]


@pytest.fixture(scope="module")
def page(module_ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """An export of a full story, opened in Fava."""
    open_books(module_ledger)
    text = export(module_ledger.url, "beancount")
    file = tmp_path_factory.mktemp("fava") / "journal.beancount"
    file.write_text(text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [str(FAVA), "--read-only", "--host", "127.0.0.1", "--port", str(port), str(file)]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as fava:
        try:
            with httpx.Client(base_url=wait_for(f"http://127.0.0.1:{port}/"), timeout=30, trust_env=False) as client:
                yield Page(text, client)
        finally:
            fava.terminate()


def wait_for(address: str) -> str:
    """Return where Fava has the file, once it answers."""
    deadline = monotonic() + START_SECONDS
    while True:
        try:
            answer = httpx.get(address, trust_env=False)
        except httpx.TransportError:
            assert monotonic() < deadline, "Fava has not started"
            sleep(0.1)
        else:
            return address + answer.headers["location"].strip("/").split("/")[0] + "/"


@pytest.mark.parametrize("name", ["income_statement", "balance_sheet", "trial_balance", "journal", "statistics"])
def test_pages_open(page: Page, name: str) -> None:
    """The pages that an auditor looks at are there."""
    answer = page.client.get(f"{name}/")
    assert (answer.status_code, "Route Ledger: all workspaces" in answer.text) == (200, True)


def test_fava_finds_no_errors(page: Page) -> None:
    """Nothing in the file is an error to Fava, and it has every account with its names in the ledger."""
    data = page.asked("ledger_data")
    details = data["account_details"]
    assert data["errors"] == []
    for workspace_id, bucket, account in closings_of(page.text):
        names = details[account_name(workspace_id, bucket, account)]["meta"]
        assert (names["workspace"], names["bucket"], names["account"]) == (workspace_id, bucket, account)


def test_fava_shows_the_balances(page: Page) -> None:
    """The balance of every account is the ledger's, in the only unit that the account may hold."""
    shown = page.asked("statistics")["balances"]
    for account, minor in closings_of(page.text).items():
        own = shown[account_name(*account)]
        assert len(own) == (minor != 0)
        assert [int(value * 10 ** SCALES[unit]) for unit, value in own.items()] == [minor] * len(own)


def test_fava_shows_every_transaction(page: Page) -> None:
    """The journal has a transaction for each entry, those that reserve flagged."""
    flags = [entry["flag"] for entry in page.asked("journal") if entry["t"] == "Transaction"]
    assert sorted(flags) == sorted(each.flag for each in transactions_of(page.text))
