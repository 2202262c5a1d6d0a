"""What the handlers of one application share."""

from ledger.api.answers import CommandAnswer, event_of, has_money, instant, read_money, state_money
from ledger.api.metrics import ApiMetrics
from ledger.core.amounts import StatedAmount, Unit, state_amount
from ledger.core.refusals import Refusal, Refused
from ledger.events import Recorded
from ledger.service import Ledger


class ApiContext:
    """The ledger, the metrics, whether the server drains, and the units that were met so far.

    Set `draining` when the server is told to stop: `/readyz` then turns requests away before the ledger closes.
    """

    def __init__(self, ledger: Ledger, metrics: ApiMetrics | None = None) -> None:
        self.ledger = ledger
        self.metrics = metrics or ApiMetrics()
        self.metrics.gauge("route_ledger_queue_depth", "Commands that wait for the writer.", lambda: ledger.queue_depth)
        self.draining = False
        self._units: dict[str, Unit] = {}

    def drain(self) -> None:
        """Turn requests away from now on: the server was told to stop."""
        self.draining = True

    async def answer(self, recorded: Recorded, repeated: bool, available_minor: int | None = None) -> CommandAnswer:
        """Return what a recorded command is answered with."""
        event = event_of(recorded)
        money: dict[str, StatedAmount] = {}
        if has_money(recorded.tag):
            amounts, units = read_money(recorded.tag, event)
            if not units <= self._units.keys():
                await self._learn_units(recorded.workspace_id)
            money = state_money(recorded.tag, amounts, self._units)
        return CommandAnswer(
            recorded.workspace_id,
            recorded.position,
            recorded.command_id,
            recorded.tag,
            instant(recorded.recorded_at),
            repeated,
            event,
            money,
            None if available_minor is None else state_amount(available_minor, self._units[money["hold"].unit]),
        )

    async def _learn_units(self, workspace_id: str) -> None:
        """Read what scale units have. It never changes, so this happens once for each unit.

        The catalog may be a second old; the wallet that an event has just moved is not.
        """
        try:
            self._units |= (await self.ledger.catalog()).units
            live = await self.ledger.live_wallets(workspace_id)
        except Refused as refused:
            raise Refused(Refusal.OUTCOME_UNKNOWN, "recorded, but the answer could not be made: repeat") from refused
        if live is not None:
            self._units |= {wallet.unit: wallet.measure for wallet in live.wallets}
