"""Options that several commands share, with their help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

__all__ = [
    "DEFAULT_DATA", "DEFAULT_DEMO_DATA", "Data", "From", "Host", "Json", "LedgerUrl", "OpenMetrics", "Port",
    "SigningKey", "To", "Zone",
]  # fmt: skip

Data = Annotated[Path, Parameter(help="Directory of the embedded database.", env_var="ROUTE_LEDGER_DATA")]
Port = Annotated[
    int, Parameter(help="Port to listen on.", env_var="ROUTE_LEDGER_PORT", validator=Number(gte=1, lte=65_535))
]
Host = Annotated[str, Parameter(help="Address to listen on.", env_var="ROUTE_LEDGER_HOST")]
Json = Annotated[bool, Parameter(name="--json", help="Print JSON for a program.", negative="")]
OpenMetrics = Annotated[
    bool,
    Parameter(
        help="Show /metrics to everybody who reaches the port; else a platform's key with scope read or audit.",
        negative="",
    ),
]
LedgerUrl = Annotated[str | None, Parameter(help="Address of a ledger elsewhere; ROUTE_LEDGER_KEY holds its key.")]
SigningKey = Annotated[
    Path | None,
    Parameter(
        help="File of the private key that signs checkpoints; audit new-key makes one.",
        env_var="ROUTE_LEDGER_SIGNING_KEY",
    ),
]
DEFAULT_DATA = Path("data/ledger")
DEFAULT_DEMO_DATA = Path("data/demo")
From = Annotated[str | None, Parameter(name="--from", help="Where the period begins: a day such as 2026-11-01.")]
To = Annotated[str | None, Parameter(help="Where the period ends, itself not included.")]
Zone = Annotated[str | None, Parameter(help="The time zone in which days begin, such as Asia/Shanghai.")]
