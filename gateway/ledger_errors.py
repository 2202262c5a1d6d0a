"""Everything that a call of a ledger elsewhere can end in, beside an answer.

LedgerError
├── RefusedByLedger      the ledger decided: no. The same again is refused again, unless `transient`
├── LedgerUnavailable    no decision reached us: repeat with the same identity, it counts once
└── AnswerUnreadable     something answered that is no ledger, or a newer one
"""

from collections.abc import Mapping
from typing import Any

from ledger.api.refusal_table import HttpRefusal
from ledger.core.refusals import Refusal


class LedgerError(Exception):
    """Base of all of them."""


class RefusedByLedger(LedgerError):
    """The ledger refused. `facts` has what a program may need: `field`, `needed`, `available`, `left` …

    `code` is a `Refusal` or `HttpRefusal` where this client knows it, else the text that a newer ledger sent.
    """

    def __init__(
        self, code: str, status: int, detail: str, facts: Mapping[str, Any], *, transient: bool = False
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = known_code(code)
        self.status = status
        self.detail = detail
        self.facts = dict(facts)
        self.transient = transient


class LedgerUnavailable(LedgerError):
    """The ledger could not be reached, or could not decide, until attempts or time ran out.

    `outcome_unknown` is false only where no attempt can have been recorded. `code` is the ledger's own reason,
    if it gave one.
    """

    def __init__(self, detail: str, *, outcome_unknown: bool, attempts: int, code: str | None = None) -> None:
        super().__init__(f"{detail} (attempts: {attempts})")
        self.detail = detail
        self.outcome_unknown = outcome_unknown
        self.attempts = attempts
        self.code = None if code is None else known_code(code)


class AnswerUnreadable(LedgerError):
    """The answer is not what a ledger sends. Whether a command was recorded is not known."""


def known_code(code: str) -> str:
    """Return a code as a member of its closed list where there is one."""
    for kind in (Refusal, HttpRefusal):
        if code in kind.__members__.values():
            return kind(code)
    return code
