"""The subcommands of finance: balances at any time, statements, periods, prices corrected afterwards."""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from gateway.options import DEFAULT_DATA, Data, From, Json, LedgerUrl, To, Zone

__all__ = ["add_finance"]

Csv = Annotated[bool, Parameter(name="--csv", help="Print CSV for a program.", negative="")]


periods_app = App(name="periods", help="Months of finance: closed with their balances, reopened, listed.")
Workspace = Annotated[str, Parameter(help="Whose month; the platform's own is called platform.")]


def add_finance(app: App) -> None:
    """Register the commands of finance with the command line."""
    app.command(periods_app)
    app.command(balances)
    app.command(rerate)
    app.command(statement)
    app.command(funding)
    app.command(margin)


def balances(
    *,
    workspace: str | None = None,
    at: str | None = None,
    by: Literal["effective", "recorded"] | None = None,
    zone: Zone = None,
    accounts: Annotated[
        bool, Parameter(help="Show the trial balance of each bucket instead of the wallets.", negative="")
    ] = False,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> int:
    """Print what every wallet held at a moment, exactly as a replay up to then would find it.

    Without a moment it is now. Amounts of two buckets are never added.

    Parameters
    ----------
    workspace
        Only this workspace.
    at
        A day such as 2026-11-20, yesterday or "7 days ago", which means its end; an instant such as
        2026-11-20T10:15:00Z; or a position of a workspace's book.
    by
        Whether a time is the one at which things happened (effective, also when that was recorded later) or the one at
        which they were recorded. Effective when absent.
    """
    from gateway.tools.balances import run_balances

    return run_balances(data, workspace, at, by, zone, with_accounts=accounts, as_json=as_json)


def rerate(
    *,
    rate_card: str,
    from_: From = None,
    to: To = None,
    zone: Zone = None,
    workspace: str | None = None,
    apply: bool = False,
    reason: str | None = None,
    parts: bool = False,
    data: Data = DEFAULT_DATA,
    ledger: LedgerUrl = None,
    as_json: Json = False,
) -> int:
    """Show what corrected prices would have charged, request by request; with --apply post the corrections.

    A preview writes nothing. Each correction is posted once for a request and a card, however often this is run; the
    ledger works it out by itself, and records it in the open period. JSON is a line for each request, and the sums.

    Parameters
    ----------
    rate_card
        The card with the corrected prices: of its route all requests that began in the period.
    workspace
        Only this workspace, in whose time zone days then begin.
    apply
        Post the corrections; needs a reason.
    reason
        Why charges are corrected: recorded with each of them.
    parts
        Show for each request the parts of both charges.
    """
    from gateway.tools.rerate import Asked, run_rerate

    period = {"rate_card": rate_card, "from": from_, "to": to, "zone": zone}
    asked = Asked(as_json=as_json, with_parts=parts, apply=apply, reason=reason)
    return run_rerate(period, workspace, data, ledger, asked)


def statement(
    workspace: str,
    bucket: str,
    month: str,
    *,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
    as_csv: Csv = False,
    as_html: Annotated[
        bool, Parameter(name="--html", help="Print a page of HTML, to be printed.", negative="")
    ] = False,
    excel: Annotated[bool, Parameter(help="With --csv: safe to open in a spreadsheet.", negative="")] = False,
) -> int:
    """Print a month of one wallet: opening balance, money in and out, charges by project and model, closing balance.

    The month is one of the workspace's own time zone. It is no tax invoice. It exits with 1 where it doesn't tie out.

    Parameters
    ----------
    workspace
        Whose wallet.
    bucket
        Which of its wallets.
    month
        Such as 2026-10.
    """
    from gateway.tools.statements import run_statement

    shapes = {"json": as_json, "html": as_html, "excel": as_csv and excel, "csv": as_csv}
    return run_statement(workspace, bucket, month, data, next((name for name in shapes if shapes[name]), "page"))


def funding(
    *,
    from_: From = None,
    to: To = None,
    zone: Zone = None,
    workspace: str | None = None,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> int:
    """Tie payments out: what the account of each source says, what the events say, and the difference, which is zero.

    Without a period it is the last seven days. The exit code is 1 where anything differs.

    Parameters
    ----------
    workspace
        Only this workspace, in whose time zone days then begin.
    """
    from gateway.tools.finance import run_funding

    return run_funding({"from": from_, "to": to, "zone": zone}, workspace, data, as_json=as_json)


def margin(
    *,
    from_: From = None,
    to: To = None,
    zone: Zone = None,
    workspace: str | None = None,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
    as_csv: Csv = False,
) -> int:
    """Show what each route earns: charges in the wallet's unit beside costs in the provider's, never added.

    Costs are restated in the wallet's unit only where a rate card states the rate. Without a period it is the last
    seven days.

    Parameters
    ----------
    workspace
        Only this workspace, in whose time zone days then begin.
    """
    from gateway.tools.finance import run_margin

    period = {"from": from_, "to": to, "zone": zone}
    return run_margin(period, workspace, data, as_json=as_json, as_csv=as_csv)


@periods_app.command(name="close")
def close_period(
    period: str,
    *,
    workspace: str | None = None,
    everywhere: Annotated[bool, Parameter(name="--all", help="Every book, then the platform's.", negative="")] = False,
    data: Data = DEFAULT_DATA,
    ledger: LedgerUrl = None,
) -> int:
    """Close a month that has ended: what comes late is posted in the open one, and its balances stay for ever.

    Parameters
    ----------
    period
        Such as 2026-10, by the clocks of each workspace's own time zone.
    workspace
        Whose month.
    """
    from gateway.tools.periods import run_close

    return run_close(period, workspace, data, ledger, everywhere=everywhere)


@periods_app.command(name="reopen")
def reopen_period(
    period: str, *, workspace: Workspace, reason: str, data: Data = DEFAULT_DATA, ledger: LedgerUrl = None
) -> int:
    """Reopen the last closed month of a book. The platform's comes first where it has closed that month too.

    Parameters
    ----------
    period
        Such as 2026-10.
    reason
        Why; it is recorded.
    """
    from gateway.tools.periods import run_reopen

    return run_reopen(period, workspace, reason, data, ledger)


@periods_app.command(name="list")
def list_periods(
    *, workspace: Workspace, data: Data = DEFAULT_DATA, ledger: LedgerUrl = None, as_json: Json = False
) -> int:
    """List the months that a book has closed, the latest first; JSON has the closing balances."""
    from gateway.tools.periods import run_list

    return run_list(workspace, data, ledger, as_json=as_json)
