"""The demo's configuration as it is applied: with the address where its own upstream is served, and a key for it."""

import os
import secrets
from collections.abc import MutableMapping
from importlib.resources import files

FILE_ADDRESS = "http://127.0.0.1:8080"
"""Stands in the file; the demo may be served elsewhere."""

UPSTREAM_KEY = "DEMO_UPSTREAM_KEY"
"""The variable in which the file says that the key of its upstream is found."""

EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what to call, not where to listen


def demo_configuration(host: str, port: int) -> str:
    """Return the text of the demo's `route-ledger.toml` for a demo that is served on a host and a port."""
    text = files("gateway.demo").joinpath("route-ledger.toml").read_text(encoding="utf-8")
    called = EVERY_INTERFACE.get(host, host)
    return text.replace(FILE_ADDRESS, f"http://[{called}]:{port}" if ":" in called else f"http://{called}:{port}")


def upstream_key(environ: MutableMapping[str, str] = os.environ) -> str:
    """Return the key that the demo's upstream asks for: one is made for this process where none is set."""
    return environ.setdefault(UPSTREAM_KEY, secrets.token_urlsafe(24))
