"""Configurations as text: one that is right, a writer of TOML, and strategies for any other."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from ledger.catalog.config.difference import diff
from ledger.catalog.config.parsing import parse_config
from ledger.catalog.config.values import Bucket, Config, Model, Price, Provider, Route
from ledger.catalog.state import Catalog
from ledger.core.commands import Command, to_datetime
from ledger.core.identifiers import PLATFORM
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates
from ledger.pricing.usage import PARTS
from ledger.workspace.commands import CreateWorkspace
from tests.unit.world import NOW, World

RIGHT = """
[[buckets]]
name = "credit"
unit = "CREDIT"
scale = 6

[[buckets]]
name = "rmb"
unit = "CNY"
scale = 6
symbol = "¥"

[[providers]]
name = "openai"
dialect = "openai"
api_base = "https://api.example/v1"
api_key = "os.environ/OPENAI_KEY"
cost_unit = "USD"
cost_scale = 9

[[routes]]
name = "smart"
provider = "openai"
model = "gpt-5"
bucket = "credit"
tier = "direct"
[routes.price]
source_unit = "USD"
units_per_source_unit = "5"
rates = { uncached_input = "2.50", text_output = 10 }
list_rates = { uncached_input = "3" }
[[routes.price.models]]
pattern = "gpt-4*"
rates = { uncached_input = "5" }

[[routes]]
name = "cheap"
provider = "openai"
model = "gpt-5-mini"
bucket = "rmb"
tier = "ordinary"
priced_by = "caller"

[[model_list]]
model_name = "smart"
targets = ["smart"]

[[model_list]]
model_name = "economy"
targets = ["cheap", "smart"]
num_retries = 1
timeout_seconds = 60
allow_bucket_change = true
"""


def toml(value: Any) -> str:
    """Return a value as TOML writes it within one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case Rounding() | str():
            return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list() | tuple():
            return "[" + ", ".join(toml(each) for each in value) + "]"
        case dict():
            return "{" + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + "}"
    return str(value)


def table(heading: str, values: dict[str, Any]) -> str:
    """Return one table of a list, without what is None."""
    lines = [f"{name} = {toml(value)}" for name, value in values.items() if value is not None]
    return "\n".join((f"[[{heading}]]", *lines, ""))


def price_values(price: Price) -> dict[str, Any]:
    """Return a price as a table: every pattern among `models`."""
    values = msgspec.structs.asdict(price)
    values["models"] = [msgspec.structs.asdict(model) for model in price.models]
    for name in ("snapshot_digest", "cost_unit", "cost_models"):
        del values[name]
    if price.valid_from is not None:
        values["valid_from"] = Instant(to_datetime(price.valid_from).isoformat())
    return {name: value for name, value in values.items() if value is not None}


def cost_values(price: Price) -> dict[str, Any] | None:
    """Return a price's cost as a table, or None where it has none."""
    models = [{"pattern": each.pattern, "rates": each.rates} for each in price.cost_models]
    return {"models": models} if models else None


class Instant:
    """A date that TOML writes without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def write(config: Config) -> str:
    """Return the text of a configuration."""
    texts = [table("buckets", msgspec.structs.asdict(bucket)) for bucket in config.buckets]
    texts += [table("providers", msgspec.structs.asdict(provider)) for provider in config.providers]
    for route in config.routes:
        values = msgspec.structs.asdict(route)
        del values["prices"]
        for price in route.prices:
            values["price"] = price_values(price)
            values["cost"] = cost_values(price)
        texts.append(table("routes", values))
    texts += [table("model_list", msgspec.structs.asdict(model)) for model in config.models]
    return "\n".join(texts)


# What never changes under one name: a bucket's unit and scale, and a route's bucket.
BUCKETS = (Bucket("credit", "CREDIT", 6, "©"), Bucket("rmb", "CNY", 6, "¥"), Bucket("points", "POINT", 0))
ROUTES = {"smart-direct": "credit", "smart-backup": "credit", "cheap": "rmb", "own": "points"}

rates = st.decimals(min_value=0, max_value=10**6, places=4).map(lambda rate: f"{rate:f}")
rate_tables = st.dictionaries(st.sampled_from(PARTS), rates, min_size=1, max_size=4)


@st.composite
def model_rates(draw: st.DrawFn) -> ModelRates:
    """Return rates of one pattern, some of them discounted."""
    found = draw(rate_tables)
    listed = draw(st.dictionaries(st.sampled_from(sorted(found)), rates, max_size=2))
    return ModelRates(draw(st.sampled_from(("gpt-5", "gpt-5*", "*-mini", "deepseek-chat"))), found, listed)


@st.composite
def prices(draw: st.DrawFn, now: int) -> Price:
    """Return a price that holds from now on, or from a date on either side of it."""
    day = 86_400_000_000
    costs = draw(st.lists(model_rates(), max_size=2))
    return Price(
        models=tuple(draw(st.lists(model_rates(), min_size=1, max_size=2))),
        source=draw(st.sampled_from(("list 1", "list 2"))),
        rounding=draw(st.sampled_from(Rounding)),
        valid_from=draw(st.none() | st.integers(-3, 3).map(lambda days: now + days * day)),
        source_unit="USD" if (stated := draw(st.booleans())) else None,
        units_per_source_unit="7.1" if stated else None,
        cost_unit="USD" if costs else None,
        cost_models=tuple(ModelRates(each.pattern, each.rates) for each in costs),
    )


@st.composite
def configs(draw: st.DrawFn, now: int) -> Config:
    """Return a configuration that is right, over a few names."""
    providers = tuple(
        Provider(
            name,
            draw(st.sampled_from(("openai", "anthropic"))),
            draw(st.sampled_from(("https://a.example/v1", "http://127.0.0.1:9000"))),
            "USD",
            draw(st.sampled_from((None, 9))),
            draw(st.sampled_from((None, "os.environ/SECRET_OF_OURS", "file:/run/secret-of-ours"))),
        )
        for name in draw(st.lists(st.sampled_from(("one", "two")), min_size=1, unique=True))
    )
    names = draw(st.lists(st.sampled_from(sorted(ROUTES)), min_size=1, unique=True))
    routes = tuple(draw(routes_named(name, [each.name for each in providers], now)) for name in names)
    models = tuple(
        Model(
            alias,
            tuple(draw(st.lists(st.sampled_from(names), min_size=1, unique=True))),
            draw(st.integers(0, 3)),
            draw(st.integers(1, 900)),
            allow_bucket_change=True,
            allow_model_change=draw(st.booleans()),
        )
        for alias in draw(st.lists(st.sampled_from(("smart", "Cheap/v1", "economy")), unique=True))
    )
    return Config(BUCKETS, providers, routes, models, "")


@st.composite
def routes_named(draw: st.DrawFn, name: str, providers: list[str], now: int) -> Route:
    """Return a route of one name, in the bucket that the name always has."""
    by_caller = draw(st.booleans())
    return Route(
        name,
        draw(st.sampled_from(providers)),
        draw(st.sampled_from(("gpt-5", "gpt-5-mini"))),
        ROUTES[name],
        draw(st.sampled_from(("direct", "ordinary"))),
        "caller" if by_caller else "ledger",
        () if by_caller else (draw(prices(now)),),
        draw(st.sampled_from((None, "deep"))),
        draw(st.sampled_from((None, 4096))),
    )


def platform() -> World:
    """Return a ledger whose catalog is empty."""
    return World().all(CreateWorkspace(workspace_id=PLATFORM))


def catalog_of(world: World) -> Catalog:
    """Return the catalog of a ledger."""
    return world.books[PLATFORM].catalog


def config_of(text: str) -> Config:
    """Return a configuration that is right."""
    config, problems = parse_config(text)
    assert (config is None, problems) == (False, ())
    assert config is not None
    return config


def apply(world: World, config: Config, now: int = NOW) -> tuple[Command, ...]:
    """Apply a difference to a ledger, none of whose commands may be refused; return the commands."""
    wanted = diff(catalog_of(world), config, now)
    assert wanted.problems == ()
    world.now = now
    world.all(*wanted.commands)
    return wanted.commands
