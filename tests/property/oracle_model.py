"""The oracle's words: balances, budgets, requests and accounts as dictionaries of decimals."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

ZERO = Decimal(0)
Key = tuple[str, ...]


class Outcome(NamedTuple):
    """What became of a command: the code of its refusal or None, when (microseconds), and whether it was a repeat."""

    refusal: str | None
    recorded_at: int
    repeated: bool = False


class Route(NamedTuple):
    """A route's terms: bucket, decimals of its unit, and rates per million by part; None: the caller prices."""

    bucket: str
    tier: str
    upstream_model: str
    rates: dict[str, Decimal] | None


@dataclass
class Wallet:
    """A balance."""

    posted: Decimal = ZERO
    held: Decimal = ZERO
    credit_limit: Decimal = ZERO
    frozen: bool = False

    @property
    def available(self) -> Decimal:
        """What a hold may take."""
        return self.posted - self.held + self.credit_limit


@dataclass
class Budget:
    """What counts in one period."""

    held: Decimal = ZERO
    charged: Decimal = ZERO


@dataclass
class Request:
    """Where a request stands."""

    status: str
    project: str = ""
    key: str = ""
    route: str = ""
    hold: Decimal = ZERO
    expires_at: int = 0
    routed_at: int = 0
    budgets: list[Key] = field(default_factory=list)
    failed_attempts: set[int] = field(default_factory=set)
    charge: Decimal = ZERO
    paid: Decimal = ZERO
    refunded: Decimal = ZERO
    overrun: Decimal = ZERO
    settled_attempt: int = 0
    minute: int | None = None
    minute_tokens: int = 0


@dataclass
class Limits:
    """Spend limits by (bucket, period), and what else a key has: requests and tokens per minute."""

    spend: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    revoked: bool = False
    allow_bucket_change: bool = True
    per_minute: tuple[int | None, int | None] = (None, None)


class Refuse(Exception):
    """The command must be refused with this code."""


class Model:
    """One workspace. `decimals` are those of each bucket's unit; `models` name their routes."""

    def __init__(
        self, routes: dict[str, Route], models: dict[str, tuple[str, ...]], decimals: dict[str, int], time_zone: str
    ) -> None:
        self.routes = routes
        self.models = models
        self.decimals = decimals
        self.zone = ZoneInfo(time_zone)
        self.wallets: dict[str, Wallet] = {}
        self.keys: dict[str, Limits] = {}
        self.projects: dict[str, Limits] = {}
        self.requests: dict[str, Request] = {}
        self.budgets: defaultdict[Key, Budget] = defaultdict(Budget)
        self.payments: dict[Key, list[Any]] = {}
        self.accounts: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.seen: dict[str, Any] = {}
        self.minutes: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        self.other_rates: dict[str, dict[str, Decimal]] = {}
        self.now = 0

    def instant(self, command: Any) -> int:
        """Return when a command's content happened, in microseconds."""
        if command.effective_at is None:
            return self.now
        since: timedelta = command.effective_at - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    def post(self, bucket: str, debit: str, credit: str, amount: Decimal) -> None:
        """Move an amount between two accounts of a bucket."""
        self.accounts[bucket, debit] += amount
        self.accounts[bucket, credit] -= amount

    def deposit(self, bucket: str, account: str, amount: Decimal) -> None:
        """Change posted by a signed amount against another account."""
        self.wallets[bucket].posted += amount
        self.post(bucket, account, "wallet.available", amount)

    def need(self, wallet: Wallet, amount: Decimal, available: Decimal, others_hold: Decimal) -> None:
        """Refuse what available does not cover; what others hold may come back by itself."""
        if amount > available:
            raise Refuse("available_is_held" if amount <= available + others_hold else "insufficient_available")

    def budget_names(self, request: Request, bucket: str) -> list[Key]:
        """Return the budgets that a request counts in, the key's before the project's."""
        local = datetime.fromtimestamp(request.routed_at // 1_000_000, self.zone)
        labels = {"day": f"{local:%Y-%m-%d}", "month": f"{local:%Y-%m}"}
        subjects = (
            ("key", request.key, self.keys[request.key]),
            ("project", request.project, self.projects[request.project]),
        )
        return [
            (subject, name, bucket, period, labels[period])
            for subject, name, limits in subjects
            for (limited, period) in limits.spend
            if limited == bucket
        ]

    def room(self, name: Key) -> Decimal | None:
        """Return what is left of a budget; None when its limit was taken away."""
        limits = self.keys if name[0] == "key" else self.projects
        limit = limits[name[1]].spend.get((name[2], name[3]))
        return None if limit is None else limit - self.budgets[name].held - self.budgets[name].charged

    def need_budgets(self, names: list[Key], amount: Decimal) -> None:
        """Refuse what a spend limit does not cover."""
        for name in names:
            room = self.room(name)
            if room is not None and amount > room:
                owner = "api_key" if name[0] == "key" else "project"
                raise Refuse(f"{owner}_spend_limit_exceeded")

    def hold(self, request: Request, amount: Decimal) -> None:
        """Hold more (or less) for a request, in its wallet and budgets."""
        bucket = self.routes[request.route].bucket
        self.wallets[bucket].held += amount
        self.post(bucket, "wallet.available", "wallet.held", amount)
        request.hold += amount
        for name in request.budgets:
            self.budgets[name].held += amount

    def charge(self, request: Request, amount: Decimal) -> None:
        """Charge more (or less) to a request's wallet and budgets."""
        self.wallets[self.routes[request.route].bucket].posted -= amount
        for name in request.budgets:
            self.budgets[name].charged += amount

    def in_state(self, request_id: str, *allowed: str) -> Request:
        """Return a request in one of these states, or refuse."""
        request = self.requests.get(request_id)
        if request is None:
            raise Refuse("request_unknown")
        if request.status in allowed:
            return request
        if allowed == ("settled",) and request.status != "voided":
            raise Refuse("request_not_settled")
        code = {"settled": "request_settled", "voided": "request_voided"}
        raise Refuse(code.get(request.status, "request_released"))

    @property
    def minute(self) -> int:
        """The minute that it is, counted since 1970."""
        return self.now // 60_000_000

    def need_pace(self, key: str, tokens: int) -> None:
        """Refuse what a key's limits per minute have no room for."""
        used = self.minutes[key, self.minute]
        for what, limit, taken, more in zip(
            ("requests", "tokens"), self.keys[key].per_minute, used, (1, tokens), strict=True
        ):
            if limit is not None and taken + more > limit:
                raise Refuse(f"{what}_per_minute_exceeded")

    def begin_minute(self, request: Request, tokens: int) -> None:
        """Count a routing of a key that has such limits."""
        if self.keys[request.key].per_minute == (None, None):
            return
        request.minute, request.minute_tokens = self.minute, tokens
        used = self.minutes[request.key, self.minute]
        used[0] += 1
        used[1] += tokens

    def end_minute(self, request: Request, tokens: int) -> None:
        """Count what was used instead of what was estimated, within the same minute; and never again."""
        if request.minute == self.minute:
            self.minutes[request.key, self.minute][1] += tokens - request.minute_tokens
        request.minute = None
