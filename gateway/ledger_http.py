"""httpx, as both clients of the ledger use it: settings, what is sent, and what its failures mean."""

import re
from random import SystemRandom
from typing import Any

import httpx

from gateway.ledger_errors import AnswerUnreadable
from gateway.ledger_exchange import Lost, Reply, Retrying, Send

KEY_PATTERN = re.compile(r"[\x21-\x7e]+\Z")
CONNECT_SECONDS = 2.0

# httpx gets slower, not faster, with many connections: posts of many go in batches.
# Idle ones end before uvicorn closes them at 5 s, so that no post is sent into a closing connection.
LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=4.0)

NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.ProxyError,
)

RETRYING = Retrying()
DICE = SystemRandom().random


def client_settings(url: str, key: str) -> dict[str, Any]:
    """Return what both clients of httpx are made with. Proxies of the environment are not asked: this is internal."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("the ledger's address must begin with http:// or https://")
    if not KEY_PATTERN.match(key):
        # Not repeated: it may be a good key with a line end behind it.
        raise ValueError("the key is empty, or holds what no header can hold")
    return {
        "base_url": url,
        "headers": {"authorization": f"Bearer {key}", "accept": "application/json"},
        "limits": LIMITS,
        "follow_redirects": False,
        "trust_env": False,
    }


def request_settings(send: Send) -> dict[str, Any]:
    """Return what httpx is asked to send."""
    seconds = send.timeout_seconds
    return {
        "method": send.call.method,
        "url": send.call.path,
        "content": send.call.body,
        "headers": send.call.headers,
        "params": send.call.parameters or None,
        "timeout": httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
    }


def reply_of(response: httpx.Response) -> Reply:
    """Return what came back. httpx gives names of headers in lower case."""
    return Reply(response.status_code, dict(response.headers), response.content)


def lost(error: httpx.RequestError) -> Lost:
    """Return what a failure of httpx means for the call. Raises AnswerUnreadable for bytes that are no answer."""
    if isinstance(error, httpx.DecodingError | httpx.TooManyRedirects):
        raise AnswerUnreadable("the answer is not what a ledger sends") from error
    return Lost(f"{type(error).__name__}: {error}", sent=not isinstance(error, NEVER_SENT))
