"""The six causes, each planted in the second of two weeks that are otherwise alike, and where it has to be found.

Two of them are there twice: within a bucket, and across two. The weeks differ a little in the length of their prompts
besides, as weeks do.
"""

from collections.abc import Callable

import msgspec

from tests.integration.histories import Ask, History, Week

WOBBLE_TOKENS = 6

MORE_REQUESTS = "more_requests"
LARGER_PROMPTS = "larger_prompts"
FALLBACK = "more_fallbacks"
RETRIES = "more_retries"
DISCOUNT_LOST = "discounted_route_dropped"
DEEP_MODEL = "deep_model_more_often"
QUESTIONS = (MORE_REQUESTS, LARGER_PROMPTS, FALLBACK, RETRIES, DISCOUNT_LOST, DEEP_MODEL)


class Found(msgspec.Struct, frozen=True):
    """Where a cause has to be found: under which measure, in which bucket or unit of bills, by which term."""

    measure: str
    place: str
    term: str


class Planted(msgspec.Struct, frozen=True):
    """A cause: what it changes in a week, the question that it answers with yes, and where it has to be found."""

    name: str
    question: str
    change: Callable[[Week], Week]
    found: tuple[Found, ...]

    @property
    def history(self) -> History:
        """Return the two weeks."""
        return History(usual_week(0), self.change(usual_week(2)))


def usual_week(phase: int) -> Week:
    """Return a week in which nothing special happens. Phases differ by a few tokens."""
    return [
        lengthened(ask, (number * 7 + phase) % 5 - 2) for number, ask in enumerate(chat() + desk() + tags() + agent())
    ]


def lengthened(ask: Ask, wobble: int) -> Ask:
    """Return a request with a prompt that is a little longer or shorter."""
    return msgspec.structs.replace(ask, input_tokens=ask.input_tokens + wobble * WOBBLE_TOKENS)


def chat() -> Week:
    """Return what people ask without any workflow. One upstream call failed, and was billed all the same."""
    asks = [Ask(input_tokens=1200, cached_tokens=300, output_tokens=150, reasoning_tokens=30) for _ in range(41)]
    asks[7] = msgspec.structs.replace(asks[7], failed=(True,))
    return asks


def desk() -> Week:
    """Return what a help desk asks. Two requests were answered by the spare route, which is dearer."""
    asks = [Ask(workflow="desk", input_tokens=3000, cached_tokens=1000, output_tokens=200) for _ in range(22)]
    for number in (5, 15):
        asks[number] = moved(asks[number])
    return asks


def tags() -> Week:
    """Return what a workflow asks for that is paid from rmb, with a discount."""
    return [
        Ask(workflow="tags", model="economy", route="sale", input_tokens=9000, output_tokens=300) for _ in range(33)
    ]


def agent() -> Week:
    """Return three runs of an agent; one of six steps is put to the deep model."""
    asks = [
        Ask(workflow="agent", run=f"run-{number // 6}", input_tokens=2000, output_tokens=250) for number in range(18)
    ]
    for number in range(5, 18, 6):
        asks[number] = deepened(asks[number])
    return asks


def moved(ask: Ask) -> Ask:
    """Return a request whose route was overloaded, so that the spare one answered."""
    return msgspec.structs.replace(ask, failed=(False,), moved_to="smart-backup")


def deepened(ask: Ask) -> Ask:
    """Return a request that was put to the deep model."""
    return msgspec.structs.replace(ask, model="deep", route="deep-direct", output_tokens=400, reasoning_tokens=600)


def some(week: Week, workflow: str | None, every: Callable[[int], bool], change: Callable[[Ask], Ask]) -> Week:
    """Return a week in which some requests of a workflow, told by their number within it, are changed."""
    changed = []
    number = 0
    for ask in week:
        is_meant = ask.workflow == workflow and every(number)
        number += ask.workflow == workflow
        changed.append(change(ask) if is_meant else ask)
    return changed


def more_requests(week: Week) -> Week:
    """Everybody asks twice as much."""
    return [ask for ask in week for _ in range(2)]


def larger_prompts(week: Week) -> Week:
    """The desk sends twice as much with each request; the same part of it is read from the cache."""
    return some(week, "desk", lambda _: True, doubled)


def doubled(ask: Ask) -> Ask:
    """Return a request with a prompt of twice the size."""
    return msgspec.structs.replace(ask, input_tokens=2 * ask.input_tokens, cached_tokens=2 * ask.cached_tokens)


def fallback_within(week: Week) -> Week:
    """Every second request of the desk, and no longer two, is answered by the spare route of the same bucket."""
    return some(week, "desk", lambda number: number % 2 == 0, moved)


def fallback_across(week: Week) -> Week:
    """Two thirds of the tags are answered by a route of the other bucket."""
    return some(week, "tags", lambda number: number % 3 > 0, moved)


def retries(week: Week) -> Week:
    """Every third request of people fails once, is billed all the same, and is answered on the second try."""
    return some(week, None, lambda number: number % 3 == 1, lambda ask: msgspec.structs.replace(ask, failed=(True,)))


def discount_lost_within(week: Week) -> Week:
    """All tags go to a route of the same bucket that gives no discount."""
    return some(week, "tags", lambda _: True, lambda ask: msgspec.structs.replace(ask, route="plain"))


def discount_lost_across(week: Week) -> Week:
    """All tags go to a route of the other bucket, from the start: no fallback is taken."""
    return some(week, "tags", lambda _: True, lambda ask: msgspec.structs.replace(ask, route="smart-backup"))


def deep_model(week: Week) -> Week:
    """The agent puts every second step to the deep model."""
    return some(week, "agent", lambda number: number % 2 == 0, deepened)


PLANTED = (
    Planted(
        "more requests", MORE_REQUESTS, more_requests,
        (
            Found("charge", "credit", "requests"), Found("charge", "rmb", "requests"),
            Found("cost", "USD", "requests"), Found("cost", "CNY", "requests"),
        ),
    ),
    Planted(
        "larger prompts", LARGER_PROMPTS, larger_prompts,
        (Found("charge", "credit", "prompt_size"), Found("cost", "USD", "prompt_size")),
    ),
    Planted(
        "a fallback within a bucket", FALLBACK, fallback_within, (Found("charge", "credit", "fallback_premium"),)
    ),
    Planted(
        "a fallback across buckets", FALLBACK, fallback_across,
        (
            Found("charge", "credit", "moved"), Found("charge", "rmb", "moved"),
            Found("cost", "USD", "moved"), Found("cost", "CNY", "moved"),
        ),
    ),
    Planted("retries", RETRIES, retries, (Found("cost", "USD", "retry_waste"),)),
    Planted(
        "a discount lost within a bucket", DISCOUNT_LOST, discount_lost_within,
        (Found("charge", "rmb", "discounted_routes"), Found("cost", "CNY", "discounted_routes")),
    ),
    Planted(
        "a discount lost across buckets", DISCOUNT_LOST, discount_lost_across,
        (Found("charge", "credit", "moved"), Found("charge", "rmb", "moved")),
    ),
    Planted(
        "the deep model", DEEP_MODEL, deep_model,
        (Found("charge", "credit", "deep_models"), Found("cost", "USD", "deep_models")),
    ),
)  # fmt: skip
