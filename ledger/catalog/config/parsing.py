"""The text of a configuration file becomes a value, or the list of everything that is wrong with it.

The text comes in, nothing else is read or looked up: whether a key is where the file says is not asked here.
"""

import hashlib
import re
import tomllib
from typing import Any, cast, get_args

from ledger.catalog.commands import Dialect, PricedBy, Tier
from ledger.catalog.config.listed import LookUp, no_list
from ledger.catalog.config.prices import About, read_prices
from ledger.catalog.config.relations import relations
from ledger.catalog.config.tables import Problem, Table
from ledger.catalog.config.values import UNREADABLE_SCALE, Bucket, Config, Model, Provider, Route
from ledger.core.amounts import SCALE_MAX, UNIT_PATTERN
from ledger.core.identifiers import LABEL_LENGTH_MAX, MODEL_PATTERN, NAME_PATTERN

SECRET_SOURCE_PATTERN = re.compile(r"(?:os\.environ/[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00-\x1f\x7f]+)\Z")
API_BASE_PATTERN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~/:-]*)?\Z")
"""No user, password or query: each of them may be a secret, and the address stands in the catalog."""

TARGETS_MAX = 32
TOKENS_MAX = 10**9


def parse_config(text: str, look_up: LookUp = no_list) -> tuple[Config | None, tuple[Problem, ...]]:
    """Return what a file says and no problems, or None and all its problems.

    Prices that the file takes from a list are looked up.
    """
    try:
        values = tomllib.loads(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
    except (ValueError, RecursionError) as error:
        return None, (Problem("file", f"is no TOML: {error}"),)
    problems: list[Problem] = []
    notices: list[Problem] = []
    top = Table("", values, problems)
    buckets = tuple(read_bucket(table) for table in top.tables("buckets", "name"))
    providers = tuple(read_provider(table) for table in top.tables("providers", "name"))
    cost_units = {provider.name: provider.cost_unit for provider in providers}
    config = Config(
        buckets=buckets,
        providers=providers,
        routes=tuple(read_route(table, cost_units, look_up, notices) for table in top.tables("routes", "name")),
        models=tuple(read_model(table) for table in top.tables("model_list", "model_name")),
        digest=digest,
        notices=tuple(notices),
    )
    # The gateway's own settings are none of the catalog's business: who runs a gateway checks them.
    top.table("gateway")
    top.close()
    problems += relations(config)
    return (None if problems else config), tuple(problems)


def read_bucket(table: Table) -> Bucket:
    """Return one of `[[buckets]]`."""
    scale = table.whole("scale", 0, SCALE_MAX, required=True)
    bucket = Bucket(
        name=table.name("name", NAME_PATTERN),
        unit=table.name("unit", UNIT_PATTERN),
        scale=UNREADABLE_SCALE if scale is None else scale,
        symbol=table.text("symbol", 8),
    )
    table.close()
    return bucket


def read_provider(table: Table) -> Provider:
    """Return one of `[[providers]]`."""
    provider = Provider(
        name=table.name("name", NAME_PATTERN),
        dialect=cast(Any, table.choice("dialect", get_args(Dialect))),
        api_base=read_api_base(table),
        cost_unit=table.name("cost_unit", UNIT_PATTERN),
        cost_scale=table.whole("cost_scale", 0, SCALE_MAX),
        api_key=read_api_key(table),
    )
    table.close()
    return provider


def read_api_base(table: Table) -> str:
    """Return the address of a provider, which must hold no secret."""
    api_base = table.text("api_base", 200)
    if not table.has("api_base"):
        table.problem("api_base", "is missing: text is needed")
    elif isinstance(table.values["api_base"], str) and not API_BASE_PATTERN.match(table.values["api_base"]):
        table.problem("api_base", "must be http(s)://host/path, without user, password, query or fragment")
    return api_base


def read_api_key(table: Table) -> str | None:
    """Return where the key is found. A key that stands in the file itself is a problem, and is not repeated."""
    api_key = table.text("api_key", 500)
    if api_key and not SECRET_SOURCE_PATTERN.match(api_key):
        table.problem("api_key", "must be os.environ/NAME or file:/path: the key itself must not stand in the file")
        return None
    return api_key or None


def read_route(table: Table, cost_units: dict[str, str], look_up: LookUp, notices: list[Problem]) -> Route:
    """Return one of `[[routes]]`."""
    model = table.name("model", MODEL_PATTERN)
    provider = table.name("provider", NAME_PATTERN)
    context_tokens = table.whole("context_tokens", 1, TOKENS_MAX)
    priced_by = table.choice("priced_by", get_args(PricedBy), "ledger")
    price, cost = table.table("price"), table.table("cost")
    if priced_by == "caller":
        for key in ("price", "cost"):
            if table.has(key):
                table.problem(key, f'a route that is priced_by = "caller" has no {key} of its own')
    elif not table.has("price"):
        table.problem("price", 'is missing: give rates, or priced_by = "caller" where the charge is sent')
    about = About(model, context_tokens, cost_units.get(provider, ""), look_up, notices)
    route = Route(
        name=table.name("name", NAME_PATTERN),
        provider=provider,
        model=model,
        bucket=table.name("bucket", NAME_PATTERN),
        tier=cast(Any, table.choice("tier", get_args(Tier))),
        priced_by=cast(Any, priced_by),
        prices=() if price is None else read_prices(price, cost, about),
        depth=table.text("depth", LABEL_LENGTH_MAX) or None,
        default_output_limit=table.whole("default_output_limit", 1, TOKENS_MAX),
        context_tokens=context_tokens,
    )
    table.close()
    return route


def read_model(table: Table) -> Model:
    """Return one of `[[model_list]]`."""
    model = Model(
        model_name=table.name("model_name", MODEL_PATTERN),
        targets=tuple(table.texts("targets")),
        num_retries=table.whole("num_retries", 0, 20) or 0,
        timeout_seconds=table.whole("timeout_seconds", 1, 86_400) or 600,
        allow_bucket_change=table.flag("allow_bucket_change"),
        allow_model_change=table.flag("allow_model_change"),
    )
    if table.has("targets") and not 0 < len(model.targets) <= TARGETS_MAX:
        table.problem("targets", f"must name 1 to {TARGETS_MAX} routes")
    table.close()
    return model
