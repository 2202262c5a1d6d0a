"""`route-ledger demo`: a service with a workspace to try, on data of its own."""

import logging
from importlib.resources import files
from pathlib import Path

from litestar import asgi
from litestar.handlers import ASGIRouteHandler

from gateway.app import close_service, create_service_app, open_service
from gateway.database import own_database
from gateway.demo.configuration import demo_configuration, upstream_key
from gateway.demo.scene import set_scene
from gateway.demo.upstream import create_upstream
from gateway.server import Occasions, run_server
from gateway.tools.config import apply_text
from gateway.tools.edge import edge_of
from gateway.tools.serve import require_free_port
from gateway.tools.voice import say
from ledger.api.access import PUBLIC

VERIFY_MINUTES = 10


def serve_demo(data: Path, host: str, port: int) -> int:
    """Serve the demo until told to stop."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    require_free_port(host, port)
    address = f"http://{host}:{port}"
    with own_database(data) as url:
        service = open_service(url, "demo", VERIFY_MINUTES)
        try:
            configuration = demo_configuration(host, port)
            upstream = upstream_part(upstream_key())
            apply_text(service.ledger, configuration)
            data.mkdir(parents=True, exist_ok=True)
            keys = set_scene(service.ledger, data, address)
            app = create_service_app(service, edge_of(configuration, data / "spool"), [upstream], metrics_open=True)
            occasions = Occasions(lambda: greet(address, keys), do_nothing, service.context.drain)
            run_server(app, host, port, occasions)
        finally:
            close_service(service)
    return 0


def upstream_part(key: str) -> ASGIRouteHandler:
    """Return the built-in upstream, which asks for a key, as a part of the demo's server. It is nowhere else."""
    return asgi("/demo", is_mount=True, copy_scope=True, opt=PUBLIC)(create_upstream(key))


def do_nothing() -> None:
    """The demo's configuration travels with the package: there is nothing to read again."""


def greet(address: str, keys: Path) -> None:
    """Say what runs here and what to paste into another terminal."""
    page = files("gateway.demo").joinpath("lines.txt").read_text(encoding="utf-8")
    say(f"Route Ledger's demo is ready at {address} (API: {address}/ledger/v1/docs). Stop it with Ctrl-C.\n")
    say(page.replace("data/demo", str(keys.parent)))
