"""`GET /ledger/v1/wallets/{workspace_id}/{bucket}/statements/{month}`: a month of one wallet, tied out."""

from collections.abc import Mapping
from functools import partial
from typing import Literal, get_args

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires, workspace_unknown
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.problems import HttpRefused
from ledger.api.reading import own_workspace
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import REVALIDATE, Headers, ReadyResponse, get_handler
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from projections.api.formats import accepted
from projections.api.parameters import AT_LEAST, POSITION_MAX, behind, invalid, query_of, whole_number
from projections.api.periods import understood
from projections.api.sight import SEEING
from projections.reading import JournalReader
from projections.route_ledger.writing import ROUTE_LEDGER
from projections.statements.answers import Statement
from projections.statements.asking import Month, month_of
from projections.statements.reading import JournalBehind, StatementReader, WalletUnknown
from projections.statements.sheet import statement_sheet
from projections.statements.tables import statement_csv
from projections.statements.telling import statement_of

__all__ = ["FORMATS", "MEDIA_TYPES", "create_statement_handler"]

StatementFormat = Literal["json", "csv", "html"]
FORMATS: tuple[StatementFormat, ...] = get_args(StatementFormat)
MEDIA_TYPES: dict[StatementFormat, str] = {"json": "application/json", "csv": "text/csv", "html": "text/html"}
ACCEPTED: dict[str, StatementFormat] = {
    **{media_type: name for name, media_type in MEDIA_TYPES.items()},
    "application/xhtml+xml": "html",
    "application/*": "json",
    "text/*": "html",
    "*/*": "json",
}
PARAMETERS = frozenset({"format", "safe", AT_LEAST})
CONTENT_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
HEADERS: Headers = (*REVALIDATE, (b"vary", b"accept"))
PAGE_HEADERS: Headers = (*HEADERS, (b"content-security-policy", CONTENT_POLICY))


class StatementReads:
    """Statements of one ledger."""

    def __init__(self, context: ApiContext, reader: JournalReader) -> None:
        self.context = context
        self.reader = reader
        self.statements = StatementReader(reader)

    async def read_month_statement(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a month's statement of a wallet; a workspace's own key sees its own."""
        workspace_id = own_workspace(scope)
        bucket = str(scope["path_params"]["bucket"])
        if scope["user"].project_id is not None:
            # It would tell what all other projects spent.
            raise HttpRefused(
                HttpRefusal.NOT_ALLOWED, "a statement is the whole workspace's; this key belongs to a project"
            )
        query = query_of(scope, PARAMETERS)
        shape = format_asked(scope, query)
        for_excel = is_for_excel(query, shape)
        month = await self._month(workspace_id, str(scope["path_params"]["month"]))
        await self._require_followed(workspace_id, query)
        return answered(await self._statement(workspace_id, bucket, month), shape, for_excel=for_excel)

    async def _month(self, workspace_id: str, name: str) -> Month:
        workspace = await self.context.ledger.workspace(workspace_id)
        if workspace is None:
            raise workspace_unknown()
        with understood():
            return month_of(name, workspace.time_zone)

    async def _require_followed(self, workspace_id: str, query: Mapping[str, str]) -> None:
        wanted = whole_number(query, AT_LEAST, 0, 0, POSITION_MAX)
        if wanted:
            reached = await self.reader.wait_for(workspace_id, wanted, ROUTE_LEDGER)
            if reached < wanted:
                raise behind(reached, wanted)

    async def _statement(self, workspace_id: str, bucket: str, month: Month) -> Statement:
        try:
            if "\0" in bucket:
                raise WalletUnknown(bucket)
            found = await self.statements.find(workspace_id, bucket, month)
        except WalletUnknown:
            raise Refused(
                Refusal.WALLET_UNKNOWN, "the workspace has no wallet in this bucket", field="bucket"
            ) from None
        except JournalBehind as error:
            raise behind(error.reached, error.wanted) from None
        platform = await self.context.ledger.workspace(PLATFORM)
        return statement_of(workspace_id, bucket, month, found, "" if platform is None else platform.closed_period)


def create_statement_handler(context: ApiContext, reader: JournalReader) -> HTTPRouteHandler:
    """Return the handler of statements."""
    reads = StatementReads(context, reader)
    path = "/wallets/{workspace_id:str}/{bucket:str}/statements/{month:str}"
    return get_handler(path, reads.read_month_statement, requires(*SEEING))


def format_asked(scope: HTTPScope, query: Mapping[str, str]) -> StatementFormat:
    """Return the format that is asked for by `format`, else by the Accept header, else JSON."""
    named = query.get("format")
    if named is None:
        return accepted(scope, ACCEPTED, "json")
    for each in FORMATS:
        if each == named:
            return each
    raise invalid("format", f"it is one of {', '.join(FORMATS)}")


def is_for_excel(query: Mapping[str, str], shape: str) -> bool:
    """Return whether cells must be safe for a spreadsheet, else refuse the parameter."""
    named = query.get("safe")
    if named is not None and (named != "excel" or shape != "csv"):
        raise invalid("safe", "it is excel, with format=csv")
    return named is not None


def answered(statement: Statement, shape: StatementFormat, *, for_excel: bool) -> ReadyResponse:
    """Return a statement in its format."""
    match shape:
        case "csv":
            ready = partial(ReadyResponse, 200, statement_csv(statement, for_excel=for_excel).encode())
            return ready(HEADERS, b"text/csv; charset=utf-8")
        case "html":
            return ReadyResponse(200, statement_sheet(statement).encode(), PAGE_HEADERS, b"text/html; charset=utf-8")
    return ReadyResponse(200, encode(statement), HEADERS)
