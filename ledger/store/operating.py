"""What gateways keep beside the books: refused calls, health of routes and providers, kept responses.

Small rows over the pool of the live reads, each statement its own transaction. Nothing here touches a book.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from ledger.operating import Health, PinnedResponse, ProviderHealth, RefusedCalls, RefusedCallsPlace, RouteHealth
from ledger.store.live import LiveReader


async def count_refused_calls(reader: LiveReader, counts: Sequence[RefusedCalls], models: Collection[str]) -> None:
    """Add refused calls to what was counted before. A model that is not among `models` is counted as none."""
    calls: defaultdict[tuple[str, str, int, str, str], int] = defaultdict(int)
    for count in counts:
        # Whatever a caller writes there may be anything, and is kept by nobody.
        model = count.model if count.model in models else ""
        calls[count.workspace_id, count.api_key_id, count.hour, model, count.reason] += count.calls
    if not calls:
        return
    # Sorted, so that two reports never wait for each other in a circle.
    rows = sorted(calls)
    await reader.fetch(
        "count_refused_calls",
        workspaces=[row[0] for row in rows],
        keys=[row[1] for row in rows],
        hours=[row[2] for row in rows],
        models=[row[3] for row in rows],
        reasons=[row[4] for row in rows],
        calls=[calls[row] for row in rows],
    )


async def read_refused_calls(
    reader: LiveReader, workspace_id: str | None, begin: int, end: int, after: RefusedCallsPlace, rows: int
) -> list[RefusedCalls]:
    """Return counts of a workspace, or of all, of the hours from `begin` until before `end`; the latest first."""
    asked = {
        "begin": begin,
        "end": end,
        "rows": rows,
        "after_hour": after.hour,
        "after_workspace": after.workspace_id,
        "after_key": after.api_key_id,
        "after_model": after.model,
        "after_reason": after.reason,
    }
    if workspace_id is None:
        found = await reader.fetch("read_all_refused_calls", **asked)
    else:
        found = await reader.fetch("read_refused_calls", workspace_id=workspace_id, **asked)
    return [RefusedCalls(*row) for row in found]


async def read_health(reader: LiveReader) -> Health:
    """Return what was reported last of every route and provider."""
    routes = await reader.fetch("read_route_health")
    providers = await reader.fetch("read_provider_health")
    return Health(tuple(RouteHealth(*row) for row in routes), tuple(ProviderHealth(*row) for row in providers))


async def report_health(reader: LiveReader, health: Health) -> None:
    """Replace what is known of the routes and providers that are named; of one named twice the later counts."""
    routes = list({route.route: route for route in health.routes}.values())
    providers = list({provider.provider: provider for provider in health.providers}.values())
    if routes:
        await reader.fetch(
            "report_route_health",
            routes=[route.route for route in routes],
            states=[route.state for route in routes],
            reasons=[route.reason for route in routes],
            ends=[route.open_until for route in routes],
            changes=[route.changed_at for route in routes],
        )
    if providers:
        await reader.fetch(
            "report_provider_health",
            providers=[provider.provider for provider in providers],
            ends=[provider.account_empty_until for provider in providers],
            changes=[provider.changed_at for provider in providers],
        )


async def pin_response(reader: LiveReader, pinned: PinnedResponse) -> None:
    """Keep which route a stored response is on."""
    await reader.fetch(
        "pin_response",
        workspace_id=pinned.workspace_id,
        response_id=pinned.response_id,
        route=pinned.route,
        request_id=pinned.request_id,
        tokens=pinned.tokens,
    )


async def read_pinned_response(reader: LiveReader, workspace_id: str, response_id: str) -> PinnedResponse | None:
    """Return which route a stored response is on; None for one that is not kept, or not any more."""
    rows = await reader.fetch("read_pinned_response", workspace_id=workspace_id, response_id=response_id)
    return PinnedResponse(workspace_id, response_id, *rows[0]) if rows else None
