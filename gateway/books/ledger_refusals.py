"""What a ledger elsewhere says, or fails to say, as the refusal that the same books in process would give."""

from gateway.ledger_errors import LedgerError, LedgerUnavailable, RefusedByLedger
from ledger.api.refusal_table import HttpRefusal
from ledger.core.refusals import Refusal, Refused

OF_THE_GATEWAY = frozenset(
    {
        HttpRefusal.NOT_AUTHENTICATED,
        HttpRefusal.NOT_ALLOWED,
        HttpRefusal.NOT_FOUND,
        HttpRefusal.METHOD_NOT_ALLOWED,
        HttpRefusal.DRAINING,
    }
)
"""Refusals of this gateway, whatever it posts: its key, the address that it was given, a server that ends."""


def refused_of(error: LedgerError) -> Refused:
    """Return what went wrong as a refusal. What an operator can mend is transient: nobody's settlement is at fault."""
    if isinstance(error, RefusedByLedger):
        return refused_by_ledger(error)
    if isinstance(error, LedgerUnavailable):
        if error.code is Refusal.OVERLOADED:
            return Refused(Refusal.OVERLOADED, error.detail)
        return Refused(Refusal.OUTCOME_UNKNOWN if error.outcome_unknown else Refusal.UNAVAILABLE, error.detail)
    return Refused(Refusal.OUTCOME_UNKNOWN, str(error))


def refused_by_ledger(error: RefusedByLedger) -> Refused:
    """Return a decision of the ledger, or why it took none."""
    if isinstance(error.code, Refusal):
        return Refused(error.code, error.detail, **error.facts)
    if is_of_gateway(error):
        return Refused(Refusal.UNAVAILABLE, f"the ledger refuses this gateway: {error.detail}", reason=error.code)
    # Another HTTP refusal, or a reason that only a newer ledger knows.
    code = Refusal.UNAVAILABLE if error.transient else Refusal.COMMAND_UNPROCESSABLE
    return Refused(code, error.detail, reason=str(error.code))


def is_of_gateway(error: RefusedByLedger) -> bool:
    """Return whether a refusal would meet everything that this gateway sends."""
    return error.code in OF_THE_GATEWAY
