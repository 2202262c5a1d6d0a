"""What this gateway knows of routes and providers, and shares with the others through the ledger's database."""

import asyncio
import logging
import time
from collections.abc import Collection

from gateway.books.protocol import Books
from gateway.edge.metrics import EdgeMetrics
from gateway.routing.breaker import MICROSECONDS, Breaker
from gateway.routing.candidates import Conditions
from gateway.settings import Breaker as BreakerSettings
from ledger.core.refusals import Refused
from ledger.operating import Health, ProviderHealth, RouteHealth

log = logging.getLogger(__name__)

ASK_SECONDS = 1.0
EMPTY = "our account at the provider is empty"


def microseconds() -> int:
    """Return this machine's clock in microseconds since 1970."""
    return time.time_ns() // 1000


class HealthKeeper:
    """The circuits of routes and the empty accounts of providers, here and at the other gateways."""

    def __init__(
        self, books: Books, settings: BreakerSettings, providers: Collection[str], metrics: EdgeMetrics
    ) -> None:
        self.breaker = Breaker(settings)
        self._books = books
        self._settings = settings
        self._providers = frozenset(providers)
        self._metrics = metrics
        self._empty_until: dict[str, int] = {}
        self._routes_changed: dict[str, RouteHealth] = {}
        self._providers_changed: dict[str, ProviderHealth] = {}
        self._changed = asyncio.Event()

    def conditions(self) -> Conditions:
        """Return what is known now."""
        now = microseconds()
        empty = {name: EMPTY for name, until in self._empty_until.items() if until > now}
        return Conditions(now, self._providers, self.breaker.open_circuits(now), empty)

    def called(self, route: str) -> None:
        """Note that a route is about to be called."""
        self.breaker.called(route, microseconds())

    def succeeded(self, route: str, provider: str) -> None:
        """Note that a call was answered."""
        if self._empty_until.pop(provider, None) is not None:
            self._tell_provider(ProviderHealth(provider, None, microseconds()))
        if self.breaker.succeeded(route):
            now = microseconds()
            self._tell_route(RouteHealth(route, "closed", "a call was answered", now, now))

    def failed(self, route: str, provider: str, failure: str, *, marks_account: bool = True) -> None:
        """Note that a call failed, and why. `marks_account` is false where only this one call was too dear."""
        now = microseconds()
        if failure == "upstream_account_empty" and not marks_account:
            return
        if failure == "upstream_account_empty":
            until = now + int(self._settings.account_empty_seconds * MICROSECONDS)
            self._empty_until[provider] = until
            self._tell_provider(ProviderHealth(provider, until, now))
            log.error("our account at provider %s is empty: its routes are left alone", provider)
        elif failure == "authentication":
            log.error("provider %s does not take our key", provider)
        elif self.breaker.failed(route, failure, now):
            until = self.breaker.circuits[route].open_until
            self._tell_route(RouteHealth(route, "open", failure, until, now))
            log.warning("route %s fails (%s) and is left alone for a while", route, failure)

    def _tell_route(self, health: RouteHealth) -> None:
        self._routes_changed[health.route] = health
        self._changed.set()

    def _tell_provider(self, health: ProviderHealth) -> None:
        self._providers_changed[health.provider] = health
        self._changed.set()

    async def exchange(self) -> None:
        """Tell what changed here and take over what the others found."""
        self._changed.clear()
        routes, self._routes_changed = self._routes_changed, {}
        providers, self._providers_changed = self._providers_changed, {}
        try:
            if routes or providers:
                await self._books.report_health(Health(tuple(routes.values()), tuple(providers.values())))
            self._learn(await self._books.health())
        except Refused as refused:
            log.warning("the health of routes could not be exchanged: %s", refused.detail)
            self._routes_changed = routes | self._routes_changed
            self._providers_changed = providers | self._providers_changed

    def _learn(self, health: Health) -> None:
        now = microseconds()
        for route in health.routes:
            if route.state == "open" and route.open_until > now:
                self.breaker.learn(route.route, route.open_until, now)
        for provider in health.providers:
            until = provider.account_empty_until
            if until is not None and until > now and provider.provider not in self._providers_changed:
                self._empty_until[provider.provider] = until
            elif until is None:
                self._empty_until.pop(provider.provider, None)
        self._metrics.open_circuits.set(len(self.breaker.open_circuits(now)))

    async def run(self) -> None:
        """Exchange every second, and at once where something changed here."""
        while True:
            try:
                await self.exchange()
            except Exception:
                log.exception("the health of routes could not be exchanged; it is tried again")
            try:
                await asyncio.wait_for(self._changed.wait(), ASK_SECONDS)
            except TimeoutError:
                continue
            # What changes together is told together.
            await asyncio.sleep(0.05)
