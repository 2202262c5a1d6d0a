"""Chaos: upstreams fail, stall, cut and forget under load, clients hang up; afterwards every token is accounted for."""

import asyncio
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tests.integration.edge_clients import Crowd, random_asks
from tests.integration.edge_processes import installed, require_sound
from tests.integration.edge_reckoning import Reckoning

CLIENTS = 32


def let_chaos_reign(url: str, directory: Path, seed: int, calls: int) -> Reckoning:
    """Let three gateways work under chaos, two of them on one database and one apart from its ledger; then look."""
    with installed(url, directory) as installation:
        servers = [installation.serve(), installation.serve()]
        gateways = [*servers, installation.serve_gateway(servers[0].address)]
        for gateway in gateways:
            gateway.wait_until_ready()
        asks = islice(random_asks(seed), calls)
        crowd = Crowd([gateway.address for gateway in gateways], installation.key, asks)
        told = asyncio.run(crowd.run(CLIENTS))
        installation.wait_until_quiet()
        reckoning = require_sound(installation, told)
        assert [gateway.stop() for gateway in reversed(gateways)] == [0, 0, 0]
    assert len(told) == calls
    statuses = Counter(each.status for each in told)
    assert statuses.keys() <= {None, 200, 429, 502, 503, 504}, statuses
    assert statuses[200] > calls // 2
    return reckoning


def test_chaos(database_url: str, tmp_path: Path) -> None:
    """Of hundreds of calls that went wrong in every way each is charged once for what was served, or not at all."""
    reckoning = let_chaos_reign(database_url, tmp_path, seed=1, calls=500)
    assert reckoning.policies.keys() == {
        "complete", "client_gone_drained", "client_gone_estimated", "stream_cut_estimated", "usage_missing_estimated",
    }  # fmt: skip
    assert min(reckoning.charged["credit"], reckoning.charged["rmb"]) > 0
    tags = Counter(event["tag"] for request in reckoning.requests.values() for event in request.events)
    assert min(tags[name] for name in ("attempt_failed.v1", "fallback_taken.v1", "request_released.v1")) > 5


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 8))
def test_chaos_for_long(database_url: str, tmp_path: Path, seed: int) -> None:
    """The same over thousands of calls."""
    let_chaos_reign(database_url, tmp_path, seed, calls=6000)
