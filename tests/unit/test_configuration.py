"""The configuration file: everything that can be wrong with it, and where keys are found."""

from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration import (
    parse_configuration,
    read_api_key,
    read_configuration,
    read_provider_keys,
)
from ledger.catalog.config.parsing import parse_config
from ledger.catalog.config.pricing import content_of_price
from ledger.catalog.config.tables import ConfigurationInvalid
from ledger.catalog.config.values import Config
from tests.unit.configurations import RIGHT, config_of, configs, write
from tests.unit.world import NOW

PRICE = "[routes.price]"
RATES = 'rates = { uncached_input = "2.50", text_output = 10 }'
PROVIDER = 'provider = "openai"\nmodel = "gpt-5"\n'
SMART = "routes.smart.price"

WRONG: tuple[tuple[str, str, str, str], ...] = (
    ("[[buckets]]", "[buckets", "file", "is no TOML"),
    ("[[buckets]]", "x = 1\n[[buckets]]", "x", "unknown key"),
    ("[[buckets]]", '"a\\u0000b" = 1\n[[buckets]]', "'a\\x00b'", "unknown key"),
    ("[[buckets]]", "model_list = 7\n[[buckets]]", "file", "is no TOML"),
    ('name = "rmb"', 'name = "credit"', "buckets.credit", "is there twice"),
    ('name = "rmb"', 'name = "Rmb"', "buckets.Rmb.name", "must look like"),
    ('name = "rmb"\n', "", "buckets #2.name", "is missing: text is needed"),
    ('unit = "CNY"', 'unit = "¥"', "buckets.rmb.unit", "must look like"),
    ('unit = "CNY"', "unit = 5", "buckets.rmb.unit", "must be text, not a whole number"),
    ('scale = 6\nsymbol = "¥"', 'scale = 10\nsymbol = "¥"', "buckets.rmb.scale", "between 0 and 9"),
    ('scale = 6\nsymbol = "¥"', 'scale = true\nsymbol = "¥"', "buckets.rmb.scale", "not true or false"),
    ('scale = 6\nsymbol = "¥"', 'scale = 6.0\nsymbol = "¥"', "buckets.rmb.scale", "not a decimal number"),
    ('symbol = "¥"', 'symbol = "¥¥¥¥¥"', "buckets.rmb.symbol", "longer than 8 bytes"),
    ('symbol = "¥"', 'simbol = "¥"', "buckets.rmb.simbol", "did you mean symbol?"),
    ('dialect = "openai"', 'dialect = "telnet"', "providers.openai.dialect", "must be one of openai, "),
    ('dialect = "openai"\n', "", "providers.openai.dialect", "is missing"),
    ('"https://api.example/v1"', '"https://me:pw@api.example"', "providers.openai.api_base", "without user"),
    ('"https://api.example/v1"', '"https://api.example?key=1"', "providers.openai.api_base", "without user"),
    ('"https://api.example/v1"', '""', "providers.openai.api_base", "must be http(s)"),
    ('api_base = "https://api.example/v1"\n', "", "providers.openai.api_base", "is missing"),
    ('"os.environ/OPENAI_KEY"', '"sk-live-1234"', "providers.openai.api_key", "must not stand in the file"),
    ('"os.environ/OPENAI_KEY"', '"file:relative"', "providers.openai.api_key", "file:/path"),
    ('cost_unit = "USD"', 'cost_unit = "usd"', "providers.openai.cost_unit", "must look like"),
    ('"USD"\ncost_scale = 9', '"CNY"\ncost_scale = 9', "providers.openai.cost_scale", "has scale 6 elsewhere"),
    (PROVIDER, 'provider = "x"\nmodel = "gpt-5"\n', "routes.smart.provider", "the file does not have"),
    ('bucket = "credit"', 'bucket = "gold"', "routes.smart.bucket", "it has credit, rmb"),
    ('tier = "direct"', 'tier = "best"', "routes.smart.tier", "must be one of direct, ordinary"),
    ('model = "gpt-5"\n', 'model = "gpt 5"\n', "routes.smart.model", "must look like"),
    ('tier = "direct"', 'tier = "direct"\ncontext_tokens = 0', "routes.smart.context_tokens", "between 1"),
    ('tier = "direct"', 'tier = "direct"\ndepth = "a\\nb"', "routes.smart.depth", "control character"),
    ('priced_by = "caller"\n', "", "routes.cheap.price", "is missing: give rates"),
    ('priced_by = "caller"', 'priced_by = "nobody"', "routes.cheap.priced_by", "must be one of"),
    ('tier = "direct"', 'tier = "direct"\npriced_by = "caller"', SMART, "has no price of its own"),
    ("text_output = 10", "text_output = 0.1", SMART + ".rates.text_output", "a TOML float"),
    ("text_output = 10", 'text_output = "1e3"', SMART + ".rates.text_output", "decimal digits"),
    ("text_output = 10", "text_output = -1", SMART + ".rates.text_output", "decimal digits"),
    ("text_output = 10", "text_output = true", SMART + ".rates.text_output", "not true or false"),
    ("text_output = 10", "smell = 10", SMART + ".rates.smell", "unknown key"),
    ('{ uncached_input = "3" }', '{ cache_read = "3" }', SMART + ".list_rates.cache_read", "no rate"),
    (RATES, "rates = {}", SMART + ".rates", "are missing"),
    (RATES, "rates = 3", SMART + ".rates", "must be a table"),
    ('pattern = "gpt-4*"', 'pattern = "gpt 4*"', SMART + ".models.gpt 4*.pattern", "must look like"),
    ('pattern = "gpt-4*"\n', "", SMART + ".models #1.pattern", "is missing"),
    (PRICE, PRICE + '\nrounding = "up_and_away"', SMART + ".rounding", "must be one of"),
    (PRICE, PRICE + "\nvalid_from = 2026-09-01", SMART + ".valid_from", "not a date"),
    (PRICE, PRICE + "\nvalid_from = 2026-09-01T00:00:00", SMART + ".valid_from", "time zone"),
    (PRICE, PRICE + "\nvalid_from = 1960-09-01T00:00:00Z", SMART + ".valid_from", "before 1970"),
    (PRICE, PRICE + '\nfactor = "0.00"', SMART + ".factor", "greater than zero"),
    (PRICE, PRICE + "\nfactor = 99999999999999", SMART + ".factor", "decimal digits"),
    ('source_unit = "USD"\n', "", SMART + ".units_per_source_unit", "needs the source_unit"),
    ('targets = ["smart"]', 'targets = ["smart", "clever"]', "model_list.smart.targets #2", "a route that the file"),
    ('targets = ["smart"]', 'targets = ["smart", "smart"]', "model_list.smart.targets", "names smart twice"),
    ('targets = ["smart"]', "targets = []", "model_list.smart.targets", "1 to 32 routes"),
    ('targets = ["smart"]', "targets = [1]", "model_list.smart.targets", "must be a list of texts"),
    ('targets = ["smart"]', 'targets = "smart"', "model_list.smart.targets", "must be a list, not text"),
    ('targets = ["smart"]\n', "", "model_list.smart.targets", "is missing"),
    ("allow_bucket_change = true\n", "", "model_list.economy.targets", "settle in credit and rmb"),
    ("allow_bucket_change = true", "allow_bucket_change = 1", "model_list.economy.allow_bucket_change", "not a whole"),
    ("num_retries = 1", "num_retries = 21", "model_list.economy.num_retries", "between 0 and 20"),
    ("timeout_seconds = 60", "timeout_seconds = 0", "model_list.economy.timeout_seconds", "between 1"),
)  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "place", "words"), WRONG)
def test_every_problem_is_named_with_its_place(right: str, wrong: str, place: str, words: str) -> None:
    """Each thing that can be wrong gives a problem that says where and what."""
    assert right in RIGHT

    config, problems = parse_config(RIGHT.replace(right, wrong, 1))

    assert config is None
    assert [problem for problem in problems if problem.place == place and words in problem.message], problems


def test_all_problems_are_listed_at_once() -> None:
    """A file with three mistakes lists three problems, and one list that is no list a fourth."""
    text = RIGHT.replace("scale = 6", "scale = 11", 1).replace("text_output = 10", "text_output = 0.1")
    text = "model_list = [3]\n" + text.replace('"os.environ/OPENAI_KEY"', '"sk-1"').split("[[model_list]]")[0]

    _, problems = parse_config(text)

    assert sorted(problem.place for problem in problems) == [
        "buckets.credit.scale", "model_list", "providers.openai.api_key", "routes.smart.price.rates.text_output",
    ]  # fmt: skip


def test_a_secret_in_the_wrong_place_is_never_repeated() -> None:
    """No problem repeats the value that it is about."""
    for right, wrong, _, _ in WRONG[2:]:
        _, problems = parse_config(RIGHT.replace(right, wrong, 1))
        assert not [problem for problem in problems if "sk-live" in str(problem) or "me:pw" in str(problem)]


def test_deep_nesting_and_lone_surrogates_are_problems() -> None:
    """What breaks the parser itself is a problem of the file."""
    for text in ("x = " + "[" * 100_000, 'x = "\ud800"', "x = " + "9" * 5000):
        assert [problem.place for problem in parse_config(text)[1]] in (["file"], ["x"])


@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    """Any configuration that is right reads back as itself, whatever the zeros behind its rates."""
    config = data.draw(configs(NOW))
    parsed = config_of(write(config))

    def plain(each: Config) -> list[object]:
        priced = [(content_of_price(price), price.valid_from) for route in each.routes for price in route.prices]
        return [each.buckets, each.providers, [msgspec.structs.replace(r, prices=()) for r in each.routes],
                each.models, priced]  # fmt: skip

    assert plain(parsed) == plain(config)


def test_files_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    """A missing file and one that is no UTF-8 are told like any other problem; line ends stay in the digest."""
    with pytest.raises(ConfigurationInvalid, match="can't be read: No such file"):
        read_configuration(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(ConfigurationInvalid, match="is not UTF-8"):
        read_configuration(tmp_path / "latin.toml")
    (tmp_path / "right.toml").write_bytes(RIGHT.replace("\n", "\r\n").encode())
    assert read_configuration(tmp_path / "right.toml").digest != parse_configuration(RIGHT).digest
    with pytest.raises(ConfigurationInvalid, match=r"x: unknown key\ny: unknown key"):
        parse_configuration("x = 1\ny = 2\n")


def test_a_provider_s_key_is_found_where_the_file_says(tmp_path: Path) -> None:
    """Keys come from the environment or a file; one that is not there is a problem of its own."""
    (tmp_path / "key").write_text("sk-1\n")

    assert read_api_key("os.environ/KEY", {"KEY": "sk-2"}) == "sk-2"
    assert read_api_key(f"file:{tmp_path}/key", {}) == "sk-1"
    with pytest.raises(ConfigurationInvalid, match="is not set, or empty"):
        read_api_key("os.environ/KEY", {})
    with pytest.raises(ConfigurationInvalid, match="can't be read"):
        read_api_key(f"file:{tmp_path}/none", {})


def test_each_provider_s_key_is_found_or_told(tmp_path: Path) -> None:
    """Who names no key is called without; a key that is missing or none is a problem that never repeats it."""
    (tmp_path / "two-lines").write_text("sk-hidden\nsk-hidden")
    provider = RIGHT[RIGHT.index("[[providers]]") : RIGHT.index("[[routes]]")]
    others = (
        provider.replace('"openai"', '"local"', 1).replace('api_key = "os.environ/OPENAI_KEY"\n', ""),
        provider.replace('"openai"', '"second"', 1).replace("OPENAI_KEY", "SECOND_KEY"),
        provider.replace('"openai"', '"filed"', 1).replace("os.environ/OPENAI_KEY", f"file:{tmp_path}/two-lines"),
    )
    config = config_of(RIGHT.replace(provider, provider + "".join(others)))

    keys, problems = read_provider_keys(config, {"OPENAI_KEY": " sk-1 "})

    assert keys == {"openai": "sk-1"}
    assert [problem.place for problem in problems] == ["providers.second.api_key", "providers.filed.api_key"]
    assert "os.environ/SECOND_KEY is not set" in problems[0].message
    assert "is no key" in problems[1].message
    assert "hidden" not in str(problems)


def test_a_price_of_the_installed_list_is_read() -> None:
    """The file names the list and the model; version, digest and cost go with the price."""
    listed = 'from = "genai-prices"\nprovider = "openai"\nfactor = "1.25"\nunits_per_source_unit = "5"'
    text = RIGHT.replace(RIGHT[RIGHT.index("source_unit") : RIGHT.index("[[routes.price.models]]")], listed + "\n")

    (price,) = parse_configuration(text).routes[0].prices

    assert price.models[0].rates["uncached_input"] == "7.8125"
    assert price.source == f"genai-prices {version('genai-prices')}: openai gpt-5"
    assert (price.cost_unit, price.cost_models[0].rates["text_output"]) == ("USD", "10")
    with pytest.raises(ConfigurationInvalid, match="did you mean gpt-5"):
        parse_configuration(text.replace('model = "gpt-5"', 'model = "gpt-5-tiny"'))
