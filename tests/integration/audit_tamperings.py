"""Changes by hand to events and the journal beyond those that a replay is told of, and what an audit must call them.

The fifth event of acme pays into the bucket credit; the rows are those of the story that every test has told.
"""

from ledger.store.chain import leaf_digest, next_digest, start_digest
from tests.integration.read_side import ask
from tests.integration.scenes import ACME
from tests.integration.tamperings import TAMPERINGS

UNLOCK = "alter table ledger.event disable trigger all; alter table ledger.event drop constraint event_position_check"
"""What somebody does first who owns the database and wants to change events."""

Named = tuple[str, set[tuple[str, int | None]]]
"""A statement, and the findings that it makes: what, and at which position of the book acme."""

OFF_BY_ONE = "posted_minor = posted_minor + 1"


def on_entry(change: str, position: int, *whats: str) -> Named:
    """Return a change of the entry at a position in the bucket credit."""
    statement = f"update projections.entry set {change} where bucket = 'credit' and position = {position}"
    return statement, {(f"entry credit {what}".rstrip(), position) for what in whats}


def on_leg(change: str, *whats: str) -> Named:
    """Return a change of the leg of the first payment."""
    statement = f"update projections.leg set {change} where position = 5"
    return statement, {(f"leg credit 1 {what}", 5) for what in whats}


SETTLED = "(select min(position) from projections.entry where tag = 'tokens_settled.v1' and bucket = 'credit')"
SWAPPED_LEGS = (
    f"update projections.leg set leg = -leg where position = {SETTLED};"
    f"update projections.leg set leg = 3 + leg where position = {SETTLED}"
)

ROWS: dict[str, Named] = {
    "a leg's amount": on_leg("minor = minor + 1", "minor"),
    "a leg's account": on_leg("debit_account = 'promotion'", "debit_account"),
    "both accounts of a leg": on_leg(
        "debit_account = credit_account, credit_account = debit_account", "debit_account", "credit_account"
    ),
    "an entry's effective_at": on_entry("effective_at = effective_at - 1", 5, "effective_at"),
    "an entry's recorded_at": on_entry("recorded_at = recorded_at + 1", 5, "recorded_at"),
    "an entry's tag": on_entry("tag = 'funds_granted.v1'", 5, "tag"),
    "an entry's request": on_entry("request_id = 'r-settled'", 5, "request_id"),
    "an entry's posted": on_entry(OFF_BY_ONE, 5, "posted_minor"),
    "an entry's held": on_entry("held_minor = held_minor + 1", 5, "held_minor"),
    "an entry's available": on_entry("available_minor = available_minor - 1", 5, "available_minor"),
    "all balances from an entry on": (
        f"update projections.entry set {OFF_BY_ONE} where bucket = 'credit' and position >= 5",
        {("entry credit posted_minor", 5)},
    ),
    "an entry gone": ("delete from projections.entry where position = 5", {("entry credit", 5)}),
    "an entry in another bucket": (
        "update projections.entry set bucket = 'points' where position = 5",
        {("entry credit", 5), ("entry points", 5)},
    ),
    "an entry too many": (
        "insert into projections.entry select workspace_id, generation, bucket, 4, tag, request_id, effective_at,"
        " recorded_at, 0, 0, 0 from projections.entry where position = 5",
        {("entry credit", 4)},
    ),
    "an entry beyond the end": (
        "insert into projections.entry select workspace_id, generation, bucket, 10 ^ 6, tag, request_id, effective_at,"
        " recorded_at, 0, 0, 0 from projections.entry where position = 5",
        {("entry credit", 10**6)},
    ),
    "a leg too many": (
        "insert into projections.leg select workspace_id, generation, bucket, position, 2, debit_account,"
        " credit_account, minor from projections.leg where position = 5",
        {("leg credit 2", 5)},
    ),
    "a journal's credit limit": (
        "update projections.wallet set credit_limit_minor = credit_limit_minor + 1 where bucket = 'credit'",
        {("journal wallet credit credit_limit_minor", None)},
    ),
    "a journal's scale": (
        "update projections.wallet set scale = 5 where bucket = 'rmb'",
        {("journal wallet rmb scale", None)},
    ),
}
"""Rows of the journal, each with all findings that it makes."""

MOVEMENTS: dict[str, tuple[str, str]] = {
    "a movement's debit": (
        "update projections.movement set debit_minor = debit_minor + 1 where account = 'promotion'",
        "movement credit promotion day",
    ),
    "a movement's credit": (
        "update projections.movement set credit_minor = credit_minor - 1 where account = 'exchange' and bucket = 'rmb'",
        "movement rmb exchange day",
    ),
    "a movement's day": (
        "update projections.movement set day = day - 1 where account = 'promotion'",
        "movement credit promotion day",
    ),
    "a movement's block": (
        "update projections.movement set block = block + 1 where account = 'promotion'",
        "movement credit promotion day",
    ),
    "a movement gone": (
        "delete from projections.movement where account = 'promotion'",
        "movement credit promotion day",
    ),
}

CHANGED = {
    **{name: named for name, named in TAMPERINGS.items() if name not in ("a leg", "a leg gone", "a journal behind")},
    **MOVEMENTS,
    "a leg gone": ("delete from projections.leg where position = 5", "leg credit 1"),
    "legs in another order": (SWAPPED_LEGS, "leg credit 1 credit_account"),
    "a journal behind": (TAMPERINGS["a journal behind"][0], "entry credit"),
    "a book gone": ("delete from ledger.book where workspace_id = 'acme'", "book"),
}
"""What else may be changed, and how the name of a finding that it makes begins."""

NINTH = "where workspace_id = 'acme' and position = 9"
LAST = "(select max(position) from ledger.event where workspace_id = 'acme')"
BEFORE_LAST = f"(select digest from ledger.event where workspace_id = 'acme' and position = {LAST} - 1)"

EVENTS: dict[str, tuple[str, set[tuple[str, int | None]]]] = {
    "a byte of the state": (
        f"update ledger.event set state = set_byte(state, 11, get_byte(state, 11) # 1) {NINTH}",
        {("event digest", 9)},
    ),
    "a digest": (
        f"update ledger.event set digest = set_byte(digest, 0, get_byte(digest, 0) # 1) {NINTH}",
        {("event digest", 9), ("event digest", 10)},
    ),
    "a command's identity": (f"update ledger.event set command_id = 'other' {NINTH}", {("event digest", 9)}),
    "a stream": (f"update ledger.event set stream = 'request/other' {NINTH}", {("event digest", 9)}),
    "a version": (f"update ledger.event set version = version + 100 {NINTH}", {("event digest", 9)}),
    "a time": (
        f"update ledger.event set recorded_at = recorded_at - 10 ^ 12 {NINTH}",
        {("event digest", 9), ("event recorded_at", 9)},
    ),
    "a tag": (
        f"update ledger.event set tag = 'funds_granted.v1' {NINTH}",
        {("event digest", 9), ("event tag", 9)},
    ),
    "an event that is none": (
        f"update ledger.event set state = '{{}}' {NINTH}",
        {("event digest", 9), ("event", 9)},
    ),
    "an event gone": (f"delete from ledger.event {NINTH}", {("event", 9), ("event digest", 10)}),
    "two events in each other's place": (
        "update ledger.event set position = -position where workspace_id = 'acme' and position in (9, 10);"
        "update ledger.event set position = 19 + position where workspace_id = 'acme' and position < 0",
        {("event digest", 9), ("event digest", 10), ("event digest", 11), ("event recorded_at", 10)},
    ),
    "two events in each other's place, digests kept": (
        "with two as (select position, digest from ledger.event where workspace_id = 'acme' and position in (9, 10))"
        " update ledger.event set position = event.position - 100, digest = two.digest from two"
        " where workspace_id = 'acme' and event.position = 19 - two.position;"
        "update ledger.event set position = -81 - position where workspace_id = 'acme' and position < 0",
        {("event digest", 9), ("event digest", 10), ("event recorded_at", 10)},
    ),
    "the last event gone, and the head with it": (
        f"update ledger.book set position = {LAST} - 1, digest = {BEFORE_LAST} where workspace_id = 'acme';"
        f"delete from ledger.event where workspace_id = 'acme' and position = {LAST}",
        {("journal position", None), ("route ledger position", None)},
    ),
}
"""Changes of events, with findings that each must make; all of those about events are listed."""


def forge(url: str, position: int, old: bytes, new: bytes, name: str = ACME) -> None:
    """Change what an event says, and compute anew the digests of it, of all later ones of its book and of the head."""
    rows = ask(
        url,
        "select position, stream, version, tag, command_id, recorded_at, state from ledger.event"
        " where workspace_id = %s order by position",
        name,
    )
    digest = start_digest(name)
    ask(url, UNLOCK)
    for place, stream, version, tag, command_id, recorded_at, state in rows:
        if place == position:
            assert old in state
            state = state.replace(old, new)  # noqa: PLW2901 - it is what the attacker does
        digest = next_digest(digest, leaf_digest(name, place, stream, version, tag, command_id, recorded_at, state))
        ask(
            url,
            "update ledger.event set state = %s, digest = %s where workspace_id = %s and position = %s",
            state, digest, name, place,
        )  # fmt: skip
    ask(url, "update ledger.book set digest = %s where workspace_id = %s", digest, name)
