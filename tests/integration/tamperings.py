"""Changes by hand to rows that are live, and what a verification must call each of them."""

Tampering = tuple[str, str]
"""A statement, and how the name of a difference that it makes begins."""


def on_wallet(change: str, bucket: str, field: str) -> Tampering:
    """Return a change of one wallet's row."""
    return f"update ledger.wallet set {change} where bucket = '{bucket}'", f"wallet {bucket} {field}"


def on_hold(change: str, field: str) -> Tampering:
    """Return a change of the row of the request that is open."""
    return f"update ledger.hold set {change} where request_id = 'r-open'", f"hold r-open {field}"


def on_book(change: str, field: str) -> Tampering:
    """Return a change of the heads of all books."""
    return f"update ledger.book set {change}", f"book {field}"


BUDGET = "budget key/k1/credit/day/"
MORE_WALLETS = (
    "insert into ledger.wallet"
    " select workspace_id, 'more', unit, scale, 0, 0, 0, false, 1 from ledger.wallet where bucket = 'rmb'"
)
MORE_HOLDS = (
    "insert into ledger.hold"
    " select workspace_id, 'r-99', bucket, 0, 0, budgets, state from ledger.hold where request_id = 'r-open'"
)

TAMPERINGS: dict[str, Tampering] = {
    "a wallet's posted": on_wallet("posted_minor = posted_minor + 1", "credit", "posted_minor"),
    "a wallet's held": on_wallet("held_minor = held_minor - 1", "credit", "held_minor"),
    "a credit limit": on_wallet("credit_limit_minor = credit_limit_minor + 1", "credit", "credit_limit_minor"),
    "frozen": on_wallet("frozen = not frozen", "rmb", "frozen"),
    "a wallet's version": on_wallet("version = version + 1", "credit", "version"),
    "a unit": on_wallet("unit = 'XX'", "credit", "unit"),
    "a scale": on_wallet("scale = 5", "credit", "scale"),
    "a wallet gone": ("delete from ledger.wallet where bucket = 'rmb'", "wallet rmb"),
    "a wallet too many": (MORE_WALLETS, "wallet more"),
    "a hold's held": on_hold("held_minor = held_minor + 1", "held_minor"),
    "a hold's expiry": on_hold("expires_at = expires_at + 1", "expires_at"),
    "a hold's bucket": on_hold("bucket = 'rmb'", "bucket"),
    "a hold's budgets": on_hold("budgets = '{}'", "budgets"),
    "a hold's state": on_hold(
        "state = convert_to(replace(convert_from(state, 'UTF8'), 'main', 'mail'), 'UTF8')", "state project_id"
    ),
    "no state at all": on_hold("state = 'x'", "state"),
    "a request's charge": (
        "update projections.request set charge_minor = charge_minor + 1 where request_id = 'r-late'",
        "requests of credit revenue.direct",
    ),
    "a request's overrun": (
        "update projections.request set overrun_minor = overrun_minor - 1 where request_id = 'r-over'",
        "requests of credit overrun.direct",
    ),
    "a request's refund": ("update projections.request set refunded_minor = 0", "requests of credit refunds.direct"),
    "a request's hold": (
        "update projections.request set held_minor = 1 where request_id = 'r-moved'",
        "requests of rmb wallet.held",
    ),
    "a request gone": (
        "delete from projections.request where request_id = 'r-settled'",
        "requests of credit revenue.direct",
    ),
    "a request's route": ("update projections.request set route = 'spare'", "requests of credit revenue.spare"),
    "what was spent": (
        "update projections.spend set charge_minor = charge_minor + 1",
        "spend of credit revenue.direct",
    ),
    "a correction": ("update projections.spend set corrected_minor = 0", "spend of credit revenue.direct"),
    "what was refunded": ("update projections.spend set refunded_minor = 0", "spend of credit refunds.direct"),
    "spend gone": ("delete from projections.spend", "spend of credit overrun.direct"),
    "a cell's bucket": ("update projections.spend_cell set bucket = 'rmb'", "spend of rmb revenue.direct"),
    "a cell gone": ("delete from projections.spend_cell", "spend of credit revenue.direct"),
    "the route ledger's position": (
        "update projections.progress set position = 99 where projection = 'route_ledger'",
        "route ledger position",
    ),
    "a hold gone": ("delete from ledger.hold where request_id = 'r-open'", "hold r-open"),
    "a hold too many": (MORE_HOLDS, "hold r-99"),
    "a budget's held": ("update ledger.budget set held_minor = held_minor + 1", BUDGET),
    "a budget's charged": ("update ledger.budget set charged_minor = charged_minor - 1", BUDGET),
    "a budget gone": ("delete from ledger.budget", BUDGET),
    "a budget too many": ("insert into ledger.budget values ('acme', 'key/x', 0, 1)", "budget key/x charged_minor"),
    "a book's time": on_book("recorded_at = recorded_at + 1", "recorded_at"),
    "a book's position": on_book("position = position + 1", "position"),
    "a book's digest": on_book("digest = set_byte(digest, 31, get_byte(digest, 31) # 1)", "digest"),
    "a workspace's version": on_book("workspace_version = workspace_version + 1", "workspace_version"),
    "a catalog's version": on_book("catalog_version = catalog_version + 1", "catalog_version"),
    "an account's debit": (
        "update projections.account set debit_minor = debit_minor + 1"
        " where bucket = 'credit' and account = 'wallet.held'",
        "account credit wallet.held debit_minor",
    ),
    "an account's credit": (
        "update projections.account set credit_minor = credit_minor - 1 where bucket = 'rmb' and account = 'exchange'",
        "account rmb exchange credit_minor",
    ),
    "a leg": (
        "update projections.leg set minor = minor + 1 where position = 5",
        "legs of account credit funding.alipay debit_minor",
    ),
    "a leg gone": (
        "delete from projections.leg where position = 5",
        "legs of account credit wallet.available credit_minor",
    ),
    "a journal ahead": ("update projections.progress set position = position + 1", "journal position"),
    "a journal behind": ("update projections.progress set position = greatest(position - 12, 0)", "account credit"),
}

NINTH = "where workspace_id = 'acme' and position = 9"

EVENT_TAMPERINGS: dict[str, tuple[str, set[str]]] = {
    "a byte of the state": (
        f"update ledger.event set state = set_byte(state, 11, get_byte(state, 11) # 1) {NINTH}",
        {"event 9 digest"},
    ),
    "a digest": (
        f"update ledger.event set digest = set_byte(digest, 0, get_byte(digest, 0) # 1) {NINTH}",
        {"event 9 digest", "event 10 digest"},
    ),
    "a command's identity": (f"update ledger.event set command_id = 'other' {NINTH}", {"event 9 digest"}),
    "a time": (
        f"update ledger.event set recorded_at = recorded_at - 10 ^ 12 {NINTH}",
        {"event 9 digest", "event 9 recorded_at"},
    ),
    "a tag": (f"update ledger.event set tag = 'funds_granted.v1' {NINTH}", {"event 9 digest", "event 9 tag"}),
    "a version": (
        f"update ledger.event set version = version + 100 {NINTH}",
        {"event 9 digest", "event 9 version"},
    ),
    "an event that is none": (f"update ledger.event set state = '{{}}' {NINTH}", {"event 9 digest", "event 9"}),
    "an event gone": (f"delete from ledger.event {NINTH}", {"event 9", "event 10 digest"}),
}
"""The names of all differences in the events themselves, beside versions."""
