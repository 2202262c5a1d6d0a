"""Posting rules and folds over generated events of every type."""

from itertools import chain
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.book import BookState, stream_of_request, stream_of_wallet
from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD, kind_of
from ledger.core.entries import account_movement
from ledger.events import EVENT_TYPES, TAGS, Fact, decode_fact, encode_fact
from ledger.posting_rules import RULES, post
from ledger.request.state import RequestState, Status
from ledger.wallet.state import Payment, WalletState
from ledger.workspace.state import ApiKey, Project
from tests import strategies as drawn

BUCKETS = ("credit", "rmb", "points")
HELD = 10**18
EACH_TYPE = pytest.mark.parametrize("kind", EVENT_TYPES, ids=TAGS.get)
FEW = settings(max_examples=max(drawn.EXAMPLES // 4, 10))


def book_before(event: Any) -> tuple[BookState, str]:
    """Return a book in which an event can happen, and the event's stream."""
    book = BookState("acme")
    book.wallets = {name: WalletState(name, "CREDIT", 6, 5 * HELD, HELD) for name in BUCKETS}
    module = type(event).__module__.split(".")[1]
    if module == "request":
        if TAGS[type(event)] not in ("request_routed.v1", "request_voided.v1"):
            book.requests["r1"] = RequestState(Status.OPEN, 1, bucket="credit", held_minor=HELD)
        return book, stream_of_request("r1")
    if module == "wallet":
        if TAGS[type(event)] == "wallet_opened.v1":
            del book.wallets[event.bucket]
        if TAGS[type(event)] == "funds_reversed.v1":
            book.payments[event.source, event.reference] = Payment(event.bucket, HELD)
        return book, stream_of_wallet(getattr(event, "bucket", "") or event.from_bucket)
    key = getattr(event, "api_key_id", "")
    project = getattr(event, "project_id", "") or ""
    if module == "workspace":
        fields = book.workspace.__struct_fields__
        values = {name: getattr(book.workspace, name) for name in fields}
        values["api_keys"] = {key: ApiKey(key, "", (), None, getattr(event, "limits", None))}  # type: ignore[arg-type]
        values["projects"] = {project: Project(project)}
        book.workspace = type(book.workspace)(**values)
    return book, module


def test_every_event_type_has_a_rule() -> None:
    """The posting rules name every event type and nothing else; every tag is versioned and taken once."""
    assert set(RULES) == set(EVENT_TYPES)
    assert len(set(TAGS.values())) == len(EVENT_TYPES)
    assert all(tag.rpartition(".v")[2].isdigit() for tag in TAGS.values())


@EACH_TYPE
@FEW
@given(st.data())
def test_an_event_gives_at_most_one_entry_per_bucket(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    """Entries of one event are in different buckets, have legs, and name accounts that exist."""
    event = data.draw(drawn.event_of(kind))
    entries = post(event)
    assert len({entry.bucket for entry in entries}) == len(entries)
    assert all(entry.legs for entry in entries)
    for leg in chain.from_iterable(entry.legs for entry in entries):
        kinds = {kind_of(leg.debit_account).kind, kind_of(leg.credit_account).kind}
        assert kinds & {WALLET_AVAILABLE, WALLET_HELD, "overrun"}


@EACH_TYPE
@FEW
@given(st.data())
def test_entries_stay_in_the_buckets_that_the_event_names(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    """An entry's bucket is the event's own, or one of the two of a fallback or an exchange."""
    event = data.draw(drawn.event_of(kind))
    named = {getattr(event, name, None) for name in ("bucket", "from_bucket", "to_bucket")}
    assert {entry.bucket for entry in post(event)} <= named


@EACH_TYPE
@FEW
@given(st.data())
def test_entries_and_wallets_move_together(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    """For every event, wallet.available moves by posted − held and wallet.held by held, in every bucket."""
    event = data.draw(drawn.event_of(kind))
    book, stream = book_before(event)
    before = dict(book.wallets)
    book.apply(stream, Fact("tester", 0, 1, event), 1, 0)
    entries = {entry.bucket: entry for entry in post(event)}
    for bucket in {*before, *book.wallets}:
        old, new = before.get(bucket), book.wallets[bucket]
        posted = new.posted_minor - (old.posted_minor if old else 0)
        held = new.held_minor - (old.held_minor if old else 0)
        entry = entries.get(bucket)
        available_moved = account_movement(entry, WALLET_AVAILABLE) if entry else 0
        held_moved = account_movement(entry, WALLET_HELD) if entry else 0
        assert (-available_moved, -held_moved) == (posted - held, held)


@EACH_TYPE
@FEW
@given(st.data())
def test_stored_bytes_are_read_back(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    """Every event of every type is decoded from its bytes as it was, and encoded to the same bytes again."""
    event = data.draw(drawn.event_of(kind))
    fact = Fact("key-1", 1, 2, event, "trace", "why")
    state = encode_fact(fact)
    assert decode_fact(state) == fact
    assert encode_fact(decode_fact(state)) == state
    assert f'"tag":"{TAGS[type(event)]}"'.encode() in state
