"""Failures of a command whose message is all that a person needs."""

import psycopg

from ledger.core.refusals import Refused
from ledger.store.embedded import EmbeddedServerError
from ledger.store.install import DatabaseUnusable


class ToolFailed(Exception):
    """A command could not do its work; the message says why and what to do."""


EXPECTED = (ToolFailed, EmbeddedServerError, DatabaseUnusable, Refused, psycopg.OperationalError)
