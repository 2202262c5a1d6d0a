"""One pool of connections to all providers.

aiohttp and not httpx: with 64 connections httpx's own transport does 130 calls a second, with aiohttp's transport
about 2,500, and aiohttp itself about 9,000, for a fifth of the processor time (measured on two cores in
November 2026). The answer's body is left to the caller, as whole bytes or chunk by chunk.
"""

import ssl
from collections.abc import Mapping, Sequence
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from gateway.dialects.surface import PATHS, Interface
from gateway.settings import Edge
from ledger.catalog.events import ProviderPublished
from ledger.request.commands import Failure

ANTHROPIC_VERSION = "2023-06-01"
KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the five seconds after which common servers close an idle connection: the race would cost a retry."""

Headers = Sequence[tuple[str, str]]


class Upstreams:
    """The providers as they are called from this process. Belongs to one event loop."""

    def __init__(self, keys: Mapping[str, str], settings: Edge) -> None:
        self._keys = keys
        self._places: dict[tuple[str, Interface], tuple[URL, str | None]] = {}
        self._own_headers: dict[tuple[str, str], dict[str, str]] = {}
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_seconds),
            auto_decompress=True,
            skip_auto_headers=("User-Agent", "Accept"),
            read_bufsize=2**18,
        )

    def secrets_of(self, provider: str) -> tuple[str, ...]:
        """Return what must not be told of a provider: our key there."""
        key = self._keys.get(provider, "")
        return (key,) if key else ()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def open(
        self, provider: ProviderPublished, interface: Interface, body: bytes, headers: Headers
    ) -> aiohttp.ClientResponse:
        """Send a call and return the answer once its headers are there. Raises aiohttp.ClientError, OSError."""
        url, proxy = self._place(provider, interface)
        return await self._session.post(
            url,
            data=body,
            headers={**self._headers_of(provider), **dict(headers)},
            proxy=proxy,
            allow_redirects=False,
        )

    def _place(self, provider: ProviderPublished, interface: Interface) -> tuple[URL, str | None]:
        """Return where a provider is called, and the proxy that the environment names for it.

        The session could look for proxies itself, but asks the system in a thread for every single call.
        """
        key = (provider.api_base, interface)
        place = self._places.get(key)
        if place is None:
            url = URL(provider.api_base.rstrip("/") + PATHS[interface])
            is_direct = proxy_bypass(url.host or "")
            place = self._places[key] = (url, None if is_direct else getproxies().get(url.scheme))
        return place

    def _headers_of(self, provider: ProviderPublished) -> dict[str, str]:
        """Return the headers that every call of a provider has; its key is among them."""
        known = self._own_headers.get((provider.provider, provider.dialect))
        if known is not None:
            return known
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "route-ledger"}
        key = self._keys.get(provider.provider, "")
        if provider.dialect == "anthropic":
            headers["anthropic-version"] = ANTHROPIC_VERSION
        if key and provider.dialect == "anthropic":
            headers["x-api-key"] = key
        elif key:
            headers["Authorization"] = f"Bearer {key}"
        self._own_headers[provider.provider, provider.dialect] = headers
        return headers


def failure_of(error: BaseException) -> Failure:
    """Return by name what went wrong between us and an upstream."""
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "stream_cut" if isinstance(error, aiohttp.ClientPayloadError) else "connection"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientError | OSError | ssl.SSLError):
        return "connection"
    return "other"
