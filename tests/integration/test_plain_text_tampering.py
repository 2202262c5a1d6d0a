"""An export that was tampered with is refused by both programs, whatever was changed about what moved.

What they cannot see is stated too: it is what the manifest and the evidence beside the file are for.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ledger.service import Ledger
from projections.exports.scope import Scope
from tests.integration.plain_text_reading import Posting, Transaction, transactions_of
from tests.integration.plain_text_scene import FORMATS, complaints, export, export_after, open_books
from tests.integration.read_side import ask

KINDS = ("opening", "request_routed", "fallback_taken", "tokens_settled", "charge_refunded")

Tampering = Callable[[str, Transaction], str | None]
"""Returns the file with a transaction changed, or None where there is nothing to be changed like this."""


@pytest.fixture(scope="module")
def books(module_ledger: Ledger) -> Ledger:
    """Books with a story in two workspaces."""
    open_books(module_ledger)
    return module_ledger


@pytest.fixture(scope="module", params=FORMATS)
def exported(request: pytest.FixtureRequest, books: Ledger) -> tuple[str, str]:
    """The format, and an export of both workspaces that begins in the midst of the story, with opening balances."""
    query = "select effective_at from projections.entry where workspace_id = 'acme' order by 1 offset 12 limit 1"
    return request.param, export(books.url, request.param, Scope(effective_from=ask(books.url, query)[0][0]))


def with_lines(text: str, changes: dict[int, str | None]) -> str:
    """Return a text with lines replaced, or removed where there is None."""
    lines: list[str | None] = [*text.split("\n")]
    for number, line in changes.items():
        lines[number] = line
    return "\n".join(line for line in lines if line is not None)


def moved(posting: Posting, difference: int = 0, account: str | None = None, unit: str | None = None) -> str:
    """Return a posting with its amount changed by smallest parts, in another account or unit."""
    digits = len(posting.value.partition(".")[2])
    minor = posting.minor + difference
    value = f"{'-' if minor < 0 else ''}{abs(minor):0{digits + 1}d}"
    value = f"{value[:-digits]}.{value[-digits:]}" if digits else value
    return f"  {account or posting.account}  {value} {unit or posting.unit}"


def one_less(text: str, transaction: Transaction) -> str:
    """Take one smallest part off both sides of the last leg."""
    debit, credit = transaction.postings[-2:]
    return with_lines(text, {debit.line: moved(debit, -1), credit.line: moved(credit, 1)})


def other_unit(text: str, transaction: Transaction) -> str:
    """Call the unit of both sides of the last leg another."""
    unit = "CNY" if transaction.postings[-1].unit == "CREDIT" else "CREDIT"
    return with_lines(text, {posting.line: moved(posting, unit=unit) for posting in transaction.postings[-2:]})


def other_unit_on_one_side(text: str, transaction: Transaction) -> str:
    """Call the unit of the first posting another."""
    posting = transaction.postings[0]
    unit = "CNY" if posting.unit == "CREDIT" else "CREDIT"
    return with_lines(text, {posting.line: moved(posting, unit=unit)})


def with_a_price(text: str, transaction: Transaction) -> str:
    """Let one unit be paid with another at a price that balances."""
    debit, credit = transaction.postings[-2:]
    unit = "CNY" if debit.unit == "CREDIT" else "CREDIT"
    return with_lines(text, {debit.line: f"{moved(debit)} @ 1 {unit}", credit.line: moved(credit, unit=unit)})


def other_bucket(text: str, transaction: Transaction) -> str | None:
    """Post the last side to the account of the same name in a bucket that has the same unit."""
    posting = transaction.postings[-1]
    account = posting.account.replace(":Credit:", ":GiftDot2025:")
    is_known = f"{account}  " in text and account != posting.account
    return with_lines(text, {posting.line: moved(posting, account=account)}) if is_known else None


def other_bucket_and_unit(text: str, transaction: Transaction) -> str | None:
    """Post both sides to the accounts of the same names in a bucket of another unit."""
    changes: dict[int, str | None] = {}
    for posting in transaction.postings[-2:]:
        account = posting.account.replace(":Credit:", ":Rmb:")
        if account == posting.account or f"{account}  " not in text:
            return None
        changes[posting.line] = moved(posting, account=account)
    return with_lines(text, changes)


def other_workspace(text: str, transaction: Transaction) -> str | None:
    """Post both sides to the other workspace's accounts of the same names."""
    accounts = [posting.account.replace(":Acme:", ":Zeta:") for posting in transaction.postings]
    if accounts == [posting.account for posting in transaction.postings]:
        return None
    changes = zip(transaction.postings, accounts, strict=True)
    return with_lines(text, {posting.line: moved(posting, account=account) for posting, account in changes})


def unknown_account(text: str, transaction: Transaction) -> str:
    """Post one side to an account that is not declared."""
    posting = transaction.postings[0]
    return with_lines(text, {posting.line: moved(posting, account=f"{posting.account}-2")})


def sides_swapped(text: str, transaction: Transaction) -> str:
    """Let the last leg go the other way."""
    debit, credit = transaction.postings[-2:]
    return with_lines(
        text,
        {debit.line: moved(debit, account=credit.account), credit.line: moved(credit, account=debit.account)},
    )


def posting_dropped(text: str, transaction: Transaction) -> str:
    """Leave the first posting out."""
    return with_lines(text, {transaction.postings[0].line: None})


def leg_dropped(text: str, transaction: Transaction) -> str:
    """Leave the first two postings out: of an entry they are a leg."""
    return with_lines(text, {posting.line: None for posting in transaction.postings[:2]})


def dropped(text: str, transaction: Transaction) -> str | None:
    """Leave the transaction out."""
    return with_lines(text, dict.fromkeys(range(transaction.first, transaction.after + 1)))


def duplicated(text: str, transaction: Transaction) -> str | None:
    """Write the transaction twice."""
    lines = text.split("\n")
    return "\n".join([*lines[: transaction.after + 1], *lines[transaction.first :]])


def delayed(text: str, transaction: Transaction) -> str:
    """Date the transaction after the end."""
    line = text.split("\n")[transaction.first]
    return with_lines(text, {transaction.first: line.replace(transaction.day, "2999-01-01", 1)})


TAMPERINGS: Sequence[Tampering] = (
    one_less, other_unit, other_unit_on_one_side, with_a_price, other_bucket, other_bucket_and_unit, other_workspace,
    unknown_account, sides_swapped, posting_dropped, leg_dropped, dropped, duplicated, delayed,
)  # fmt: skip


def of_some_kinds(text: str) -> list[Transaction]:
    """Return a transaction of each of some kinds, an opening one among them."""
    lines = text.split("\n")
    kinds: dict[str, Transaction] = {}
    for transaction in transactions_of(text):
        event = re.search(r'event: ?"?([a-z_]+)', "\n".join(lines[transaction.first : transaction.after]))
        if not cancels_out(transaction):
            kinds.setdefault(event[1] if event else "opening", transaction)
    return [kinds[kind] for kind in KINDS]


def cancels_out(transaction: Transaction) -> bool:
    """Return whether a transaction changes no balance, as when a hold is moved to another route of its bucket."""
    balances = Counter[str]()
    for posting in transaction.postings:
        balances[posting.account] += posting.minor
    return not any(balances.values())


@pytest.mark.slow
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_refused(exported: tuple[str, str], tampering: Tampering, tmp_path: Path) -> None:
    """Whatever is changed about what moved, the program finds it, in transactions of several kinds."""
    kind, text = exported
    changed = {each.first: tampering(text, each) for each in of_some_kinds(text)}
    tampered = {first: file for first, file in changed.items() if file is not None}
    assert text not in tampered.values()
    unseen = [first for first, file in tampered.items() if complaints(kind, file, tmp_path) == ""]
    assert (unseen, len(tampered) > 0) == ([], True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_one_smallest_part_is_missed_in_any_posting(books: Ledger, kind: str, tmp_path: Path) -> None:
    """The last digit of every amount counts, whichever posting it is of."""
    text = export(books.url, kind, Scope("acme"))
    postings = [posting for transaction in transactions_of(text) for posting in transaction.postings]
    unseen = [
        posting
        for posting in postings
        if complaints(kind, with_lines(text, {posting.line: moved(posting, 1)}), tmp_path) == ""
    ]
    assert (unseen, len(postings) > 50) == ([], True)


def with_another_word(text: str, transaction: Transaction) -> str:
    """Change what the transaction is called."""
    line = text.split("\n")[transaction.first]
    return with_lines(text, {transaction.first: line.replace("fallback", "retry")})


@pytest.mark.parametrize("tampering", [dropped, duplicated, with_another_word])
def test_the_evidence_is_for_what_balances_do_not_show(
    exported: tuple[str, str], tampering: Tampering, tmp_path: Path
) -> None:
    """What cancels out can be dropped or doubled, and words can be changed: only the file's digest shows it."""
    kind, text = exported
    unmoved = next(each for each in transactions_of(text) if cancels_out(each))
    tampered = tampering(text, unmoved)
    assert tampered is not None
    assert (tampered == text, complaints(kind, tampered, tmp_path)) == (False, "")


def test_closing_balances_are_not_taken_from_the_transactions(books: Ledger, tmp_path: Path) -> None:
    """A journal that has lost a leg is exported, and its export refused: the end is told by the movements."""
    damage = "delete from projections.leg where workspace_id = 'zeta' and debit_account like 'refunds.%'"
    for kind in FORMATS:
        text = export_after(books.url, damage, kind)
        assert "Refunds" in complaints(kind, text, tmp_path)
