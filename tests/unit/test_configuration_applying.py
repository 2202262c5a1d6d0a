"""A configuration brought into a ledger, with others at work on the same catalog."""

from collections.abc import Sequence

import pytest

from gateway.configuration import (
    Applied,
    ConfigurationNotApplied,
    apply_configuration,
    compare_configuration,
)
from ledger.catalog.commands import DefineBucket
from ledger.catalog.config.difference import diff
from ledger.catalog.config.tables import ConfigurationInvalid
from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.store.batch import Outcome
from tests.unit.configurations import RIGHT, apply, catalog_of, config_of, platform
from tests.unit.world import NOW, SECOND, World

DAY = 86_400 * SECOND
SLEEP = "gateway.configuration.time.sleep"


class Keeper:
    """A ledger of which somebody else can change the catalog, or that answers with an old one."""

    def __init__(self, world: World, *, stale: Catalog | None = None) -> None:
        self.world = world
        self.stale = stale
        self.others: list[Command] = []
        self.refuse: Refused | None = None

    def read_catalog(self) -> Catalog:
        """Return the catalog, the first time an old one if there is one."""
        catalog, self.stale = self.stale or catalog_of(self.world), None
        return catalog

    def execute_many(self, commands: Sequence[Command], actor: str) -> list[Outcome]:
        """Return outcomes; before the first command comes what somebody else posted."""
        others, self.others = self.others, []
        self.world.all(*others)
        return [self.execute(command) for command in commands]

    def execute(self, command: Command) -> Outcome:
        """Return one outcome."""
        if self.refuse is not None:
            return Outcome(refused=self.refuse)
        try:
            return Outcome(repeated=self.world.do(command).repeated)
        except Refused as refused:
            return Outcome(refused=refused)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SLEEP, lambda seconds: None)
    monkeypatch.setattr("gateway.configuration.PAUSE_SECONDS", 0)
    monkeypatch.setattr("gateway.configuration.now", lambda: NOW)


def test_one_file_another_and_the_first_again() -> None:
    """A, B, A: the third time is no repeat of the first."""
    world = platform()
    other = RIGHT.replace("num_retries = 1", "num_retries = 2").replace('"2.50"', '"3"')

    done = [apply_configuration(Keeper(world), config_of(text), actor="me") for text in (RIGHT, other, RIGHT, RIGHT)]

    assert [len(applied.changes) for applied in done] == [9, 3, 3, 0]
    assert catalog_of(world).models["economy"].num_retries == 1


def test_two_servers_apply_one_file_at_once() -> None:
    """The second finds its names taken, reads again, and has nothing left to do. The first card is the only one."""
    world = platform()
    config = config_of(RIGHT)
    keeper = Keeper(world)
    keeper.others = list(diff(catalog_of(world), config, NOW - DAY).commands)

    applied = apply_configuration(keeper, config, actor="me")

    assert applied == Applied((), ())
    assert len(catalog_of(world).rate_cards) == 1


def test_a_stale_catalog_does_not_hide_a_change() -> None:
    """A repeat of what was recorded long ago is read again, until the file is what the catalog says."""
    world = platform()
    apply(world, config_of(RIGHT))
    stale = catalog_of(world)
    other = config_of(RIGHT.replace("num_retries = 1", "num_retries = 2"))
    apply(world, other)
    apply(world, config_of(RIGHT))

    apply_configuration(Keeper(world, stale=stale), other, actor="me")

    assert catalog_of(world).models["economy"].num_retries == 2


def test_comparing_changes_nothing() -> None:
    """What would be changed is listed first; after it was applied there is nothing."""
    world = platform()
    config = config_of(RIGHT)
    assert len(compare_configuration(Keeper(world), config).commands) == 9

    applied = apply_configuration(Keeper(world), config, actor="me")

    assert len(applied.changes) == 9
    assert compare_configuration(Keeper(world), config).commands == ()


def test_the_record_of_the_file_goes_last_and_alone() -> None:
    """A file whose change was refused is not recorded as applied; applying again goes on from there."""
    world = platform()
    keeper = Keeper(world)
    keeper.refuse = Refused(Refusal.UNAVAILABLE, "the database does not answer")
    with pytest.raises(ConfigurationNotApplied, match="unavailable: the database"):
        apply_configuration(keeper, config_of(RIGHT), actor="me")
    keeper.refuse = Refused(Refusal.TEXT_INVALID, "no")
    with pytest.raises(ConfigurationNotApplied, match="text_invalid: no"):
        apply_configuration(keeper, config_of(RIGHT), actor="me")
    assert catalog_of(world).config_digest == ""


def test_a_conflict_with_the_catalog_lists_its_problems() -> None:
    """A bucket that is something else already stops everything before the first command."""
    world = platform().all(DefineBucket(bucket="credit", unit="POINT", scale=0))

    with pytest.raises(ConfigurationInvalid) as caught:
        apply_configuration(Keeper(world), config_of(RIGHT), actor="me")

    assert [problem.place for problem in caught.value.problems] == ["buckets.credit.unit", "buckets.credit.scale"]


def test_a_race_of_two_different_files_ends() -> None:
    """Somebody who takes every name makes applying give up, not run for ever."""
    keeper = Keeper(platform())
    keeper.refuse = Refused(Refusal.IDENTITY_CONFLICT, "taken")

    with pytest.raises(ConfigurationNotApplied, match="identity_conflict"):
        apply_configuration(keeper, config_of(RIGHT), actor="me")
