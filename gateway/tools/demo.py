"""`route-ledger demo`: a service with a workspace to try, on data of its own."""

import logging
from importlib.resources import files
from pathlib import Path

from gateway.app import close_service, create_service_app, open_service
from gateway.database import own_database
from gateway.demo.scene import set_scene
from gateway.server import run_server
from gateway.tools.config import apply_text
from gateway.tools.serve import require_free_port
from gateway.tools.voice import say

VERIFY_MINUTES = 10


def serve_demo(data: Path, host: str, port: int) -> int:
    """Serve the demo until told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    require_free_port(host, port)
    address = f"http://{host}:{port}"
    with own_database(data) as url:
        service = open_service(url, "demo", VERIFY_MINUTES)
        try:
            configuration = files("gateway.demo").joinpath("route-ledger.toml").read_text(encoding="utf-8")
            apply_text(service.ledger, configuration)
            data.mkdir(parents=True, exist_ok=True)
            keys = set_scene(service.ledger, data, address)
            run_server(create_service_app(service), service, host, port, lambda: greet(address, keys), lambda: None)
        finally:
            close_service(service)
    return 0


def greet(address: str, keys: Path) -> None:
    """Say what runs here and what to paste into another terminal."""
    page = files("gateway.demo").joinpath("lines.txt").read_text(encoding="utf-8")
    say(f"Route Ledger's demo is ready at {address} (API: {address}/ledger/v1/docs). Stop it with Ctrl-C.\n")
    say(page.replace("data/demo", str(keys.parent)))
