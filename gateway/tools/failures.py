"""Failures of a command whose message is all that a person needs."""

from gateway.configuration import ConfigurationNotApplied
from gateway.ledger_errors import LedgerError
from gateway.signing_key import KeyFileUnusable
from ledger.core.refusals import Refused
from ledger.store.checkpoints import CheckpointRefused
from ledger.store.connection import DATABASE_AWAY
from ledger.store.embedded import EmbeddedServerError
from ledger.store.install import DatabaseUnusable


class ToolFailed(Exception):
    """A command could not do its work; the message says why and what to do."""

    exit_code = 1


class WrongUsage(ToolFailed):
    """A command was asked for something that does not exist: its arguments are wrong, nothing was checked."""

    exit_code = 2


EXPECTED: tuple[type[Exception], ...] = (
    ToolFailed,
    ConfigurationNotApplied,
    EmbeddedServerError,
    DatabaseUnusable,
    CheckpointRefused,
    KeyFileUnusable,
    LedgerError,
    Refused,
    *DATABASE_AWAY,
)
