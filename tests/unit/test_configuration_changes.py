"""What a configuration changes in a catalog: no more than differs, and what never changes is a problem."""

from importlib.resources import files

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.catalog.commands import PublishRateCard, PublishRoute, RecordConfig, SuspendRoute
from ledger.catalog.config.difference import diff
from ledger.catalog.config.pricing import content_of_card, content_of_price, start_of
from ledger.catalog.state import Catalog, card_in_force
from ledger.commands import command_id_of
from tests.unit.configurations import RIGHT, apply, catalog_of, config_of, configs, platform, write
from tests.unit.world import NOW, SECOND

DAY = 86_400 * SECOND


def test_the_demo_s_configuration_applies() -> None:
    """The demo's file has no problem, nothing to notice, and is what the catalog then says."""
    world = platform()
    config = config_of(files("gateway.demo").joinpath("route-ledger.toml").read_text(encoding="utf-8"))

    changes = apply(world, config)

    assert changes[-1] == RecordConfig(digest=config.digest, changes=24, change_id=f"{config.digest[:16]}.0")
    assert diff(catalog_of(world), config, NOW).commands == ()
    assert diff(catalog_of(world), config, NOW).notices == ()
    assert catalog_of(world).models["economy"].allow_bucket_change


@given(st.data())
def test_applying_brings_the_catalog_to_the_file(data: st.DataObject) -> None:
    """Files applied one after the other: each is accepted, is then what the catalog says, and leaves no difference."""
    world = platform()
    first, second = (config_of(write(data.draw(configs(NOW)))) for _ in range(2))
    now = NOW
    for config in (first, second, first):
        now += data.draw(st.integers(1, 4 * DAY))
        before = catalog_of(world)
        commands = apply(world, config, now)
        catalog = catalog_of(world)

        for later in (now, now + 1, now + DAY, now + 9 * DAY):
            assert diff(catalog, config, later).commands == ()
        assert catalog.config_digest == config.digest
        assert "secret_of_ours" not in msgspec.json.encode(commands).decode().lower().replace("-", "_")
        assert len({command_id_of(command) for command in commands}) == len(commands)
        for model in config.models:
            assert catalog.models[model.model_name].targets == model.targets
        for route in config.routes:
            assert catalog.routes[route.name].tier == route.tier
            for price in route.prices:
                instants = [card.valid_from for card in before.cards_of_route.get(route.name, ())]
                begins = max(now, start_of(price, instants, now))
                card = card_in_force(catalog, route.name, begins + 10)
                assert card is not None
                assert content_of_card(card) == content_of_price(price)


def test_nothing_changes_when_only_words_of_the_file_do() -> None:
    """A comment or another way to write a rate changes no price; that another file was applied is recorded."""
    world = platform()
    apply(world, config_of(RIGHT))
    again = config_of("# a comment\n" + RIGHT.replace('"2.50"', '"2.5"'))

    assert apply(world, again) == (RecordConfig(digest=again.digest, changes=0, change_id=f"{again.digest[:16]}.10"),)


def test_a_new_price_is_a_new_card_from_now_on() -> None:
    """Only the price changed: one card, no route, and the old card stays what it was."""
    world = platform()
    apply(world, config_of(RIGHT))
    old = catalog_of(world).cards_of_route["smart"][0]

    commands = apply(world, config_of(RIGHT.replace('"2.50"', '"2.75"')), NOW + DAY)

    assert [type(command) for command in commands] == [PublishRateCard, RecordConfig]
    assert [card.valid_from for card in catalog_of(world).cards_of_route["smart"]] == [NOW - NOW % DAY, NOW + DAY]
    assert catalog_of(world).rate_cards[old.rate_card] == old


def test_a_scheduled_price_can_be_called_off() -> None:
    """A card for a later date is succeeded a microsecond after when the file no longer wants it."""
    world = platform()
    apply(world, config_of(RIGHT))
    later = "[routes.price]\nvalid_from = 2026-12-01T00:00:00Z"
    dear = config_of(RIGHT.replace("[routes.price]", later, 1).replace('"2.50"', '"9"'))
    apply(world, dear, NOW + 1)

    apply(world, config_of(RIGHT), NOW + 2)

    first, _, back = catalog_of(world).cards_of_route["smart"]
    assert back.valid_from == 1_796_083_200_000_001
    assert content_of_card(back) == content_of_card(first)


def test_dates_that_surprise_are_noticed() -> None:
    """A price before which there is none, and a date that came too late, are said."""
    world = platform()
    ahead = config_of(RIGHT.replace("[routes.price]", "[routes.price]\nvalid_from = 2027-01-01T00:00:00Z", 1))
    assert "lies ahead" in str(diff(catalog_of(world), ahead, NOW).notices[0])
    past = RIGHT.replace("[routes.price]", "[routes.price]\nvalid_from = 2026-01-01T00:00:00Z", 1)
    apply(world, config_of(past))

    late = diff(catalog_of(world), config_of(past.replace('"2.50"', '"9"')), NOW + DAY)

    assert "has passed" in str(late.notices[0])
    assert [c.card.valid_from for c in late.commands if isinstance(c, PublishRateCard)] == [NOW + DAY]


def test_what_only_the_catalog_has_is_left_alone() -> None:
    """A route and a model that went from the file stay, suspended or not, and are noticed."""
    world = platform()
    apply(world, config_of(RIGHT))
    world.do(SuspendRoute(route="smart", change_id="c1", reason="provider is down"))

    fewer = diff(catalog_of(world), config_of(RIGHT.split("[[routes]]")[0]), NOW)

    assert [type(command) for command in fewer.commands] == [RecordConfig]
    assert [notice.place for notice in fewer.notices] == [
        "routes.smart", "routes.cheap", "model_list.smart", "model_list.economy",
    ]  # fmt: skip
    apply(world, config_of("#\n" + RIGHT))
    assert catalog_of(world).suspended == {"smart"}


def test_a_fallback_that_is_never_taken_is_noticed() -> None:
    """A direct route before one that calls another model can't fall back to it."""
    text = RIGHT.replace('targets = ["cheap", "smart"]', 'targets = ["smart", "cheap"]')

    assert "never falls back to cheap" in str(diff(Catalog(), config_of(text), NOW).notices[0])
    allowed = config_of(text + "allow_model_change = true\n")
    assert diff(Catalog(), allowed, NOW).notices == ()


@pytest.mark.parametrize(
    ("right", "wrong", "place"),
    [
        ('unit = "CNY"\nscale = 6\nsymbol = "¥"', 'unit = "RMB"\nscale = 6\nsymbol = "R"', "buckets.rmb.unit"),
        ('symbol = "¥"', 'symbol = "R"', "buckets.rmb.symbol"),
        ('name = "rmb"\nunit = "CNY"\nscale = 6', 'name = "gold"\nunit = "CNY"\nscale = 2', "buckets.gold.scale"),
        ("cost_scale = 9", "cost_scale = 6", "providers.openai.cost_scale"),
        ('bucket = "credit"', 'bucket = "rmb"', "routes.smart.bucket"),
    ],
)
def test_what_never_changes_is_a_problem(right: str, wrong: str, place: str) -> None:
    """A bucket, a unit's scale and a route's bucket are for ever: nothing is told to the ledger."""
    world = platform()
    apply(world, config_of(RIGHT))
    text = RIGHT.replace(right, wrong, 1)
    text = (
        text.replace('bucket = "rmb"\ntier = "ordinary"', 'bucket = "gold"\ntier = "ordinary"')
        if "gold" in wrong
        else text
    )

    wanted = diff(catalog_of(world), config_of(text), NOW)

    assert place in [problem.place for problem in wanted.problems]
    assert wanted.commands == ()


def test_routes_follow_their_prices() -> None:
    """The order is one that a ledger accepts: a route comes after its card, the record of the file last."""
    kinds = [type(command) for command in diff(Catalog(), config_of(RIGHT), NOW).commands]

    assert kinds.index(PublishRateCard) < kinds.index(PublishRoute)
    assert kinds[-1] is RecordConfig
