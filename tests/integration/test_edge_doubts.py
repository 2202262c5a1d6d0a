"""What an upstream reports and can't be right, and words of its bill that no rate card names."""

from collections.abc import Iterator

import httpx
import pytest

from ledger.request.events import AttemptFailed, TokensSettled
from ledger.service import Ledger
from tests.integration.edge_scene import EdgeScene, open_edge
from tests.integration.recorded_upstream import RecordedUpstream, recorded_upstream, whole
from tests.integration.test_edge_recorded import USAGE, ask, completion

ROUTE = """
[[providers]]
name = "at-openai"
dialect = "openai"
api_base = "{address}/openai/v1"
cost_unit = "USD"
[[routes]]
name = "via-openai"
provider = "at-openai"
model = "main-model"
bucket = "credit"
tier = "direct"
context_tokens = 100_000
[routes.price]
source = "test"
valid_from = 2026-01-01T00:00:00Z
pattern = "*"
rates = {{ uncached_input = "1.5", text_output = "10.5" }}
[routes.cost]
pattern = "*"
rates = {{ uncached_input = "1", text_output = "2" }}
[[model_list]]
model_name = "openai"
targets = ["via-openai"]
num_retries = 1
timeout_seconds = 10
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordedUpstream]:
    """An upstream that answers what a test has written down."""
    with recorded_upstream() as opened:
        yield opened


@pytest.fixture(scope="module")
def edge(
    module_ledger: Ledger, upstream: RecordedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeScene]:
    """A service with one route to the recorded upstream."""
    settings = "retry.first_pause_milliseconds = 1\n" + ROUTE.format(address=upstream.address)
    with open_edge(module_ledger, tmp_path_factory.mktemp("doubts"), settings) as opened:
        yield opened


def settlement(edge: EdgeScene, answer: httpx.Response) -> TokensSettled:
    """Return the settlement of a call, whose lines sum to what was charged and waived."""
    event = edge.ended(answer.headers["x-request-id"])[-1]
    assert isinstance(event, TokensSettled), event
    assert sum(line.charge_minor for line in event.lines) == event.charge_minor + event.waived_minor
    return event


def test_more_input_than_the_route_takes_is_charged_at_most_the_hold(
    edge: EdgeScene, upstream: RecordedUpstream
) -> None:
    """A thousand million tokens for one word: flagged, the rest waived, and no balance is emptied by it."""
    usage = {"prompt_tokens": 10**9, "completion_tokens": 7, "total_tokens": 10**9 + 7}
    event = settlement(edge, ask(edge, upstream, "openai", whole(completion(usage=usage))))
    assert (event.policy, event.usage_source) == ("report_doubted", "reported")
    assert event.charge_minor == event.charge_limit_minor
    assert event.waived_minor > 0


def test_far_more_output_than_was_allowed_is_charged_at_most_the_hold(
    edge: EdgeScene, upstream: RecordedUpstream
) -> None:
    """Twice the limit is believed, as some count thoughts beside it; more is not."""
    for output_tokens, policy in ((200, "complete"), (201, "report_doubted")):
        usage = {**USAGE, "completion_tokens": output_tokens, "total_tokens": 11 + output_tokens}
        event = settlement(edge, ask(edge, upstream, "openai", whole(completion(usage=usage)), max_tokens=100))
        assert event.policy == policy


def test_terms_that_no_card_names_are_on_record_and_make_the_cost_unknown(
    edge: EdgeScene, upstream: RecordedUpstream
) -> None:
    """A priority tier is not charged as something else in silence; the standard one says nothing."""
    plain = settlement(edge, ask(edge, upstream, "openai", whole(completion(usage=USAGE, service_tier="default"))))
    assert (plain.terms, plain.provider_cost is None) == ((), False)
    dear = settlement(edge, ask(edge, upstream, "openai", whole(completion(usage=USAGE, service_tier="priority"))))
    assert (dear.terms, dear.provider_cost) == (("service_tier=priority",), None)


def test_an_odd_status_leaves_the_attempt_on_record(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """HTTP knows no status 799: the attempt is recorded without one, and tried again."""
    answer = ask(edge, upstream, "openai", whole({"error": {"message": "?"}}, 799), whole(completion(usage=USAGE)))
    assert answer.status_code == 200
    failed = [event for event in edge.ended(answer.headers["x-request-id"]) if isinstance(event, AttemptFailed)]
    assert [each.http_status for each in failed] == [None]
