"""The command `route-ledger`: every subcommand with its options; the work is done in `gateway.tools`.

Data goes to standard output, progress and messages to standard error. Exit codes: 0 done, 1 a check failed or the
work could not be done, 2 wrong usage.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from gateway.audit_commands import audit_app
from gateway.finance_commands import add_finance
from gateway.options import DEFAULT_DATA, DEFAULT_DEMO_DATA, Data, Host, Json, LedgerUrl, OpenMetrics, Port, SigningKey

app = App(
    name="route-ledger",
    help="A ledger that tells which balance each AI request burned, and why.",
    version=lambda: version("route-ledger"),
    version_flags=["--version"],
)
config_app = App(name="config", help="The catalog: buckets, providers, routes, models and prices.")
keys_app = App(name="keys", help="API keys, straight in the database: for the first key and for a lost one.")
route_app = App(name="route", help="Routes: suspended by a person, and resumed.")
app.command(config_app)
app.command(keys_app)
app.command(route_app)
app.command(audit_app)
add_finance(app)


@app.command
def serve(
    *,
    data: Data = DEFAULT_DATA,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    config: Annotated[Path | None, Parameter(env_var="ROUTE_LEDGER_CONFIG")] = None,
    verify_minutes: int = 60,
    signing_key: SigningKey = None,
    checkpoint_minutes: int = 60,
    open_metrics: OpenMetrics = False,
) -> int:
    """Serve the ledger: production, empty at first. The first start prints the admin key, once.

    Parameters
    ----------
    config
        Configuration to apply at the start, and again on SIGHUP.
    verify_minutes
        Every so often all books are replayed and compared with what is live; 0 is never.
    checkpoint_minutes
        Every so often the heads of all books are signed with the signing key, if one is named; 0 is never.
    """
    from gateway.app import Signing
    from gateway.tools.serve import serve_production

    signing = None if signing_key is None else Signing(signing_key, checkpoint_minutes)
    return serve_production(data, host, port, config, verify_minutes, signing, metrics_open=open_metrics)


@app.command
def gateway(
    *,
    ledger: Annotated[str, Parameter(env_var="ROUTE_LEDGER_URL")],
    config: Annotated[Path, Parameter(env_var="ROUTE_LEDGER_CONFIG")],
    host: Host = "127.0.0.1",
    port: Port = 8081,
    open_metrics: OpenMetrics = False,
) -> int:
    """Serve calls only, with the books at a ledger elsewhere; its key is taken from ROUTE_LEDGER_KEY.

    Parameters
    ----------
    ledger
        Address of the ledger, such as http://127.0.0.1:8080.
    config
        Configuration with the providers' keys and the gateway's settings; the catalog is the ledger's.
    """
    from gateway.tools.gateway import serve_gateway

    return serve_gateway(ledger, host, port, config, metrics_open=open_metrics)


@app.command
def demo(*, data: Data = DEFAULT_DEMO_DATA, host: Host = "127.0.0.1", port: Port = 8080) -> int:
    """Serve a demo: a workspace with two wallets, funds and keys, and lines to paste."""
    from gateway.tools.demo import serve_demo

    return serve_demo(data, host, port)


@app.command
def receipt(
    request: str,
    *,
    workspace: str | None = None,
    data: Data = DEFAULT_DATA,
    ledger: LedgerUrl = None,
    as_json: Json = False,
) -> int:
    """Print the receipt of one request: which balance it burned, and why.

    Parameters
    ----------
    request
        The request's id, as in the header x-request-id of its answer.
    workspace
        Whose request it is. Without it all books are looked through; at a ledger elsewhere, the key's own.
    """
    from gateway.tools.receipt import run_receipt

    return run_receipt(request, workspace, data, ledger, as_json=as_json)


@app.command
def why(
    *,
    bucket: str | None = None,
    measure: Literal["charge", "cost"] = "charge",
    unit: str | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    against: str | None = None,
    by: Literal["workspace", "project", "key", "workflow", "run", "model", "route", "tier"] | None = None,
    workspace: str | None = None,
    zone: str | None = None,
    data: Data = DEFAULT_DATA,
    ledger: LedgerUrl = None,
    as_json: Json = False,
) -> int:
    """Say why charge or cost differs between two periods: the last seven full days against the seven before.

    Parameters
    ----------
    bucket
        Only this bucket; without it each by itself.
    measure
        What customers owe in the bucket's unit, or what providers bill us in theirs.
    unit
        Only amounts in this unit.
    from_
        Where the later period begins: a day such as 2026-11-14, or an instant at a quarter of an hour.
    to
        Where it ends, itself not included.
    against
        Where the earlier period begins, as long as the later one; directly before it when absent.
    by
        Explain each value of this dimension by itself as well, the ten that changed most.
    workspace
        Only this workspace, in whose time zone days then begin.
    zone
        The time zone in which days begin, such as Asia/Shanghai.
    """
    from gateway.tools.why import run_why

    asked = {
        "bucket": bucket, "measure": measure, "unit": unit, "from": from_, "to": to, "against": against, "by": by,
        "zone": zone,
    }  # fmt: skip
    return run_why(asked, workspace, data, ledger, as_json=as_json)


@app.command
def replay(
    *,
    data: Data = DEFAULT_DATA,
    workspace: str | None = None,
    at: str | None = None,
    verify: bool = False,
    as_json: Json = False,
) -> int:
    """Fold balances from the events alone.

    Parameters
    ----------
    workspace
        Only this workspace's book.
    at
        A position of the book, or a time of recording such as 2026-11-21T10:00:00Z.
    verify
        Compare every wallet, hold, budget and account, what requests and spend add up to, and the chain with what is
        live; exit 1 if anything differs.
    """
    from gateway.tools.replay import run_replay

    return run_replay(data, workspace, at, verify=verify, as_json=as_json)


@app.command
def rebuild(*, data: Data = DEFAULT_DATA, projection: Literal["all", "journal", "route_ledger"] = "all") -> int:
    """Fill a new generation of a projection from the books and swap it in, while the service runs.

    Parameters
    ----------
    projection
        Which one; all of them, one after the other, when absent.
    """
    from gateway.tools.replay import run_rebuild

    return run_rebuild(data, projection)


@config_app.command
def apply(file: Path, *, data: Data = DEFAULT_DATA, check: bool = False) -> int:
    """Post the difference between a configuration file and the catalog; every problem is listed first.

    Parameters
    ----------
    file
        A route-ledger.toml.
    check
        Only list the problems and the changes that would be made.
    """
    from gateway.tools.config import run_apply

    return run_apply(file, data, check=check)


@route_app.command
def suspend(name: str, *, reason: str, data: Data = DEFAULT_DATA, ledger: LedgerUrl = None) -> int:
    """Send nothing new to a route. Requests that run are settled as usual.

    Parameters
    ----------
    name
        The route.
    reason
        Why: recorded with the change.
    """
    from gateway.tools.route import run_suspend

    return run_suspend(name, reason, data, ledger)


@route_app.command
def resume(name: str, *, reason: str, data: Data = DEFAULT_DATA, ledger: LedgerUrl = None) -> int:
    """Let a suspended route take requests again.

    Parameters
    ----------
    name
        The route.
    reason
        Why: recorded with the change.
    """
    from gateway.tools.route import run_resume

    return run_resume(name, reason, data, ledger)


@keys_app.command
def issue(
    key: str,
    *,
    workspace: str = "platform",
    scopes: str = "admin,fund,post,read,audit",
    project: str | None = None,
    data: Data = DEFAULT_DATA,
) -> int:
    """Issue a key and print its token, once.

    Parameters
    ----------
    key
        The new key's id, such as `admin-2`.
    workspace
        The book it belongs to. Only keys of `platform` may have the scopes admin, fund and post.
    scopes
        Of call, read, post, fund, audit, admin.
    project
        The project that a workspace's key is confined to; the whole workspace when absent.
    """
    from gateway.tools.keys import run_issue

    return run_issue(key, workspace, tuple(scopes.split(",")), project, data)


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        code = app(result_action="return_value")
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if not is_expected(error):
            raise
        print(f"route-ledger: {error}", file=sys.stderr)
        code = getattr(error, "exit_code", 1)
    sys.exit(code if isinstance(code, int) else 0)


def is_expected(error: Exception) -> bool:
    """Return whether an error's message says everything: no traceback is needed."""
    from gateway.tools.failures import EXPECTED

    return isinstance(error, EXPECTED)
