"""`route-ledger serve`: production."""

import logging
from pathlib import Path

from gateway.app import Service, Signing, close_service, create_service_app, open_service
from gateway.database import own_database
from gateway.ports import is_free, who_listens
from gateway.server import Occasions, run_server
from gateway.tools.config import apply_file
from gateway.tools.edge import read_edge
from gateway.tools.failures import EXPECTED, ToolFailed
from gateway.tools.voice import note, say
from ledger.core.identifiers import PLATFORM
from ledger.service import SYSTEM
from ledger.workspace.commands import IssueApiKey

log = logging.getLogger(__name__)

ADMIN_KEY = "admin"


def serve_production(
    data: Path,
    host: str,
    port: int,
    config: Path | None,
    verify_minutes: int,
    signing: Signing | None = None,
    *,
    metrics_open: bool,
) -> int:
    """Serve until told to stop. Refuses demo data."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    require_free_port(host, port)
    edge = read_edge(config, data / "spool")
    with own_database(data) as url:
        service = open_service(url, "production", verify_minutes, signing)
        try:
            if config is not None:
                apply_file(service.ledger, config)
            show_first_key(service)
            occasions = Occasions(
                ready=lambda: say(f"Route Ledger is ready at http://{host}:{port}"),
                reload=lambda: reload_config(service, config),
                stopping=service.context.drain,
            )
            run_server(create_service_app(service, edge, metrics_open=metrics_open), host, port, occasions)
        finally:
            close_service(service)
    return 0


def require_free_port(host: str, port: int) -> None:
    """Fail before anything is started when somebody listens already, or nobody can."""
    try:
        free = is_free(host, port)
    except OSError as error:
        raise ToolFailed(f"can't listen on {host}: {error.strerror}; choose another address with --host") from error
    if not free:
        raise ToolFailed(
            f"port {port} on {host} is taken by {who_listens(port)}; stop it, or choose another port with --port or "
            "ROUTE_LEDGER_PORT"
        )


def show_first_key(service: Service) -> None:
    """Issue the admin key when it does not exist yet, and print it, once."""
    command = IssueApiKey(
        workspace_id=PLATFORM, api_key_id=ADMIN_KEY, scopes=("admin", "fund", "post", "read", "audit")
    )
    issued = service.ledger.issue_key(command, SYSTEM)
    if issued.token is not None:
        say(f"Admin key (shown once, keep it): {issued.token}")
        note("A lost key is replaced by: route-ledger keys issue admin-2")


def reload_config(service: Service, config: Path | None) -> None:
    """Apply the configuration again; a file with problems changes nothing and is reported."""
    if config is None:
        log.warning("SIGHUP: there is no configuration file to read again")
        return
    try:
        applied = apply_file(service.ledger, config)
    except EXPECTED as error:
        log.error("%s was not applied: %s", config, error)
    else:
        log.info("%s was read again: %d changes", config, len(applied.changes))
