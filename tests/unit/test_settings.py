"""The table `[gateway]`: its defaults, its limits, and the page that says what each setting is for."""

import re
from pathlib import Path

import msgspec
import pytest

from gateway.configuration import parse_configuration
from gateway.settings import Settings, parse_settings, read_settings
from ledger.catalog.config.parsing import parse_config
from ledger.catalog.config.tables import ConfigurationInvalid
from tests.unit.configurations import RIGHT, toml

README = Path(__file__).parents[2] / "gateway" / "README.md"

WRONG: tuple[tuple[str, str, str], ...] = (
    ("gateway = 3", "gateway", "must be a table"),
    ("gateway.hole = {}", "gateway.hole", "did you mean hold?"),
    ("gateway.hold = 3", "gateway.hold", "must be a table"),
    ("gateway.hold.bytes_per_tokens = 3", "gateway.hold.bytes_per_tokens", "did you mean bytes_per_token?"),
    ("gateway.hold.bytes_per_token = 0", "gateway.hold.bytes_per_token", "between 1 and 16"),
    ("gateway.hold.bytes_per_token = 2.5", "gateway.hold.bytes_per_token", "not a decimal number"),
    ("gateway.hold.bytes_per_token = true", "gateway.hold.bytes_per_token", "not true or false"),
    ("gateway.hold.grace_seconds = -1", "gateway.hold.grace_seconds", "between 0 and 86400"),
    ("gateway.hold.grace_seconds = nan", "gateway.hold.grace_seconds", "between 0 and 86400"),
    ("gateway.hold.grace_seconds = true", "gateway.hold.grace_seconds", "not true or false"),
    ('gateway.hold.grace_seconds = "1"', "gateway.hold.grace_seconds", "not text"),
    ("gateway.hold.minimum_output_limit = 5000", "gateway.hold.minimum_output_limit", "default_output_limit"),
    ("gateway.retry.pause_seconds_max = 0.1", "gateway.retry.first_pause_milliseconds", "pause_seconds_max"),
    ('gateway.settlement.client_gone = "bill"', "gateway.settlement.client_gone", "one of drain, estimate"),
    ('gateway.settlement.stream_cut = ""', "gateway.settlement.stream_cut", "one of estimate, release"),
    ("gateway.settlement.usage_missing = 1", "gateway.settlement.usage_missing", "must be text"),
    ("gateway.edge.strict_openai_errors = 1", "gateway.edge.strict_openai_errors", "true or false"),
    ("gateway.edge.body_bytes_max = 10", "gateway.edge.body_bytes_max", "between 1024"),
    ('gateway.edge.metadata_keys = "team"', "gateway.edge.metadata_keys", "must be a list"),
    ('gateway.edge.metadata_keys = ["a b"]', "gateway.edge.metadata_keys", "must each look like"),
    ("gateway.edge.forward_headers = [1]", "gateway.edge.forward_headers", "list of texts"),
    ('gateway.edge.forward_headers = ["X-Demo"]', "gateway.edge.forward_headers", "must each look like"),
    ('gateway.edge.forward_headers = ["authorization"]', "gateway.edge.forward_headers", "never sent on"),
    ('gateway.edge.forward_headers = ["x-api-key"]', "gateway.edge.forward_headers", "never sent on"),
    ('gateway.spool.directory = ""', "gateway.spool.directory", "is empty"),
    ('gateway.spool.directory = "a\\nb"', "gateway.spool.directory", "control character"),
)


def groups() -> dict[str, msgspec.Struct]:
    """Return the groups of settings at their defaults."""
    return {name: getattr(Settings(), name) for name in Settings.__struct_fields__}


@pytest.mark.parametrize(("line", "place", "words"), WRONG)
def test_each_wrong_setting_is_named_with_its_place(line: str, place: str, words: str) -> None:
    """A problem says where and what; `config apply --check` lists it with those of the catalog."""
    _, problems = read_settings(line)
    assert [problem for problem in problems if problem.place == place and words in problem.message], problems

    with pytest.raises(ConfigurationInvalid) as invalid:
        parse_configuration(f"{line}\n{RIGHT.replace('scale = 6', 'scale = 11', 1)}")
    places = [problem.place for problem in invalid.value.problems]
    assert {place, "buckets.credit.scale"} <= set(places)
    assert len(places) == len(set(invalid.value.problems))


def test_all_problems_of_settings_are_listed_at_once() -> None:
    """Three mistakes in two groups are three problems."""
    text = "[gateway]\nhold = { bytes_per_token = 0, x = 1 }\nspool.directory = 3"
    with pytest.raises(ConfigurationInvalid) as invalid:
        parse_settings(text)
    assert len(invalid.value.problems) == 3


def test_without_the_table_the_defaults_hold() -> None:
    """A file without `[gateway]`, and one with an empty table, say the same."""
    assert parse_settings(RIGHT) == parse_settings("[gateway]") == Settings()


def test_every_setting_can_be_stated() -> None:
    """Each setting, written with another value, is read as that value, and the catalog's part stays what it was."""
    other: dict[str, dict[str, object]] = {
        group: {name: other_than(getattr(values, name)) for name in values.__struct_fields__}
        for group, values in groups().items()
    }
    other["hold"]["minimum_output_limit"] = 65
    text = "".join(
        f"[gateway.{group}]\n" + "".join(f"{name} = {toml(value)}\n" for name, value in values.items())
        for group, values in other.items()
    )

    settings = parse_settings(text + RIGHT)

    for group, values in other.items():
        for name, value in values.items():
            read = getattr(getattr(settings, group), name)
            assert (list(read) if isinstance(read, tuple) else read) == value
    assert parse_config(text + RIGHT)[1] == ()


def other_than(default: object) -> object:
    """Return another value that is as good."""
    words = {"drain": "estimate", "estimate": "release", "data/spool": "/var/spool/ledger"}
    match default:
        case bool():
            return not default
        case int() | float():
            return default + 1
        case str():
            return words[default]
    return ["x-demo"]


def test_the_page_has_every_setting_with_its_default() -> None:
    """The table in gateway/README.md lists each setting once, with the default of the program."""
    rows = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (.+?) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    known = {
        f"{group}.{name}": shown(getattr(values, name))
        for group, values in groups().items()
        for name in values.__struct_fields__
    }
    assert rows == list(known.items())


def shown(default: object) -> str:
    """Return a default as the page writes it."""
    return f"`{toml(default)}`"
