"""Facts of each event type with every field filled: what the golden files must be decoded to, for ever."""

from ledger.catalog import events as catalog
from ledger.core.amounts import Amount
from ledger.core.rounding import Rounding
from ledger.events import Event, Fact
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.rating import ChargeLine, UnpricedLine
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request import events as request
from ledger.wallet import events as wallet
from ledger.workspace import events as workspace

SHA = "0123456789abcdef" * 4
USAGE = Usage(1500, 300, {"uncached_input": 1000, "cache_read": 500, "text_output": 250, "reasoning": 50})
WHY = request.Why("cheapest first", (request.SkippedRoute("gpt-azure", "suspended"),))
LINES = (
    ChargeLine("uncached_input", 1000, "2.50", 2500, "3.125", 3125),
    ChargeLine("text_output", 250, "10", 2500),
)
UNPRICED = (UnpricedLine("web_searches", 3),)
OTHERS = (ModelUsage("gpt-4o", Usage(9, 250, {"cache_read": 9, "text_output": 250})),)
PAID = wallet.Paid("200.00", "CNY", "1.20", "alipay-77")
DAY, MONTH = "key/k1/credit/day/2026-09-21", "project/web/credit/month/2026-09"
SPEND = (workspace.SpendLimit("credit", "CREDIT", "day", 500_000_000),)
LIMITS = workspace.KeyLimits(SPEND, ("gpt-5",), ("credit", "rmb"), True, 600, 100_000)
CARD = RateCard(
    "gpt-direct.1", "gpt-direct", "credit", 1_700_000_000_000_000,
    (ModelRates("gpt-5*", {"uncached_input": "2.50"}, {"uncached_input": "3.125"}),),
    "price list of 2026-09", Rounding.HALF_UP, "USD", "7.1", "1.25", "sha256:1",
)  # fmt: skip

EVENTS: tuple[Event, ...] = (
    request.RequestRouted(
        "web", "k1", "gpt-5", "gpt-direct", "direct", "openai", "gpt-5-2026", "credit", "CREDIT", 10_000_000, 600,
        1_790_000_600_000_000, WHY, "gpt-direct.1", "caller", request.Estimate(1000, 400), SHA, "invoice bot",
        "run-7", "extract ¥", (DAY, MONTH),
    ),
    request.HoldExtended(1, "credit", "CREDIT", 2_000_000, 900, 1_790_000_900_000_000, "more output", (DAY,)),
    request.AttemptFailed(1, "gpt-direct", "timeout", True, 30_000, 504, USAGE, Amount(1_000_000, "USD")),
    request.FallbackTaken(
        1, "gpt-direct", "gpt-ordinary", "credit", "rmb", "CREDIT", "CNY", 10_000_000, 30_000_000, 700,
        1_790_000_700_000_000, "timeout", WHY, "ordinary", "azure", "gpt-5", "gpt-ordinary.1", "caller", (DAY,),
        ("key/k1/rmb/month/2026-09",),
    ),
    request.TokensSettled(
        2, "gpt-direct", "credit", "CREDIT", "gpt-5-2026-08", USAGE, "reported", 5000, 3000, 7, 1500, 500, 1234,
        "expired", 5625, LINES, UNPRICED, True, "gpt-direct.1", "caller", 210, Amount(4_000_000, "USD"),
        (DAY, MONTH),
    ),
    request.RequestReleased("credit", "CREDIT", 10_000_000, "cancelled", (DAY,)),
    request.RequestVoided("failed"),
    request.ChargeRefunded("f1", "gpt-direct", "credit", "CREDIT", 1000, (DAY,)),
    request.ChargeCorrected(
        "n1", "gpt-direct", "credit", "CREDIT", -1000, "rerated", USAGE, "gpt-direct.2", LINES, UNPRICED, 400, (DAY,)
    ),
    wallet.WalletOpened("credit", "CREDIT", 6, 5_000_000),
    wallet.CreditLimitChanged("credit", "CREDIT", 7_000_000, 5_000_000),
    wallet.WalletFrozen("credit"),
    wallet.WalletUnfrozen("credit"),
    wallet.FundsAdded("credit", "CREDIT", 100_000_000, "alipay", "A-1", PAID),
    wallet.FundsGranted("credit", "CREDIT", 2_500_000, "g1"),
    wallet.FundsReversed("credit", "CREDIT", 1_000_000, "alipay", "A-1", "r1", PAID),
    wallet.FundsWithdrawn("credit", "CREDIT", 1_000_000, "bank", "B-1", PAID),
    wallet.AdjustmentPosted("credit", "CREDIT", -500_000, "a1"),
    wallet.BucketExchanged("x1", "credit", "CREDIT", 10_000_000, "points", "POINT", 13, "1.25", "half_up"),
    workspace.WorkspaceCreated("Asia/Shanghai"),
    workspace.ProjectCreated("web", SPEND),
    workspace.ProjectLimitsChanged("web", SPEND),
    workspace.ApiKeyIssued("k1", SHA, ("call", "read"), "web", LIMITS),
    workspace.ApiKeyLimitsChanged("k1", LIMITS),
    workspace.ApiKeyRevoked("k1"),
    workspace.PeriodClosed(
        "2026-08", 1_788_192_000_000_000, (workspace.AccountBalance("credit", "wallet.held", -10_000_000),)
    ),
    workspace.PeriodReopened("2026-08"),
    workspace.SigningKeyPublished(
        "c74f20a3", "ledger.example", "PeterNeumannsKeyIsNotOursButHasItsLength+/8=", "00000001"
    ),
    catalog.BucketDefined("rmb", "CNY", 6, "¥"),
    catalog.ProviderPublished("openai", "openai", "https://api.example/v1", "USD", 9),
    catalog.RoutePublished(
        "gpt-direct", "openai", "gpt-5", "credit", "direct", "caller", "deep", 4096, 128_000
    ),
    catalog.ModelPublished("gpt-5", ("gpt-direct", "gpt-ordinary"), 2, 60, True, True),
    catalog.RateCardPublished(CARD),
    catalog.RouteSuspended("gpt-direct"),
    catalog.RouteResumed("gpt-direct"),
    catalog.ConfigApplied(SHA, 12),
)  # fmt: skip

COSTED = RateCard(
    "gpt-direct.2", "gpt-direct", "credit", 1_700_000_000_000_001, CARD.models, "genai-prices 0.2.3: openai gpt-5",
    Rounding.HALF_UP, "USD", "7.1", "1.25", SHA, "USD",
    (ModelRates("gpt-5*", {"uncached_input": "0.25", "web_searches": "10000"}),),
)  # fmt: skip

LATER: dict[str, Event] = {
    "rate_card_published.v1.2": catalog.RateCardPublished(COSTED),
    "tokens_settled.v1.2": request.TokensSettled(
        2, "gpt-direct", "credit", "CREDIT", "gpt-5-2026-08", USAGE, "estimated", 4000, 3000, 7, 500, 500, 1234,
        "expired", 5625, (*LINES, ChargeLine("text_output", 250, "10", 2500, "12.5", 3125, "gpt-4o")),
        (*UNPRICED, UnpricedLine("cache_read", 9, "gpt-4o")), True, "gpt-direct.1", "caller", 210,
        Amount(4_000_000, "USD"), (DAY, MONTH), 3500, 4000, "stream_cut_estimated", OTHERS,
    ),
    "tokens_settled.v1.3": request.TokensSettled(
        2, "gpt-direct", "credit", "CREDIT", "gpt-5-2026-08", USAGE, "reported", 4000, 3000, 7, 500, 500, 1234,
        "expired", 5625, LINES, UNPRICED, True, "gpt-direct.1", "caller", 210,
        Amount(4_000_000, "USD"), (DAY, MONTH), 3500, 4000, "report_doubted", OTHERS, ("service_tier=priority", "快"),
    ),
    "charge_corrected.v1.2": request.ChargeCorrected(
        "n1", "gpt-direct", "credit", "CREDIT", -1000, "rerated", USAGE, "gpt-direct.2", LINES, UNPRICED, 400, (DAY,),
        OTHERS,
    ),
    "charge_corrected.v1.3": request.ChargeCorrected(
        "rerate.gpt-direct.2", "gpt-direct", "credit", "CREDIT", -1000, "rerated", None, "gpt-direct.2", LINES, (), 400,
        (DAY,), (), 77,
    ),
}  # fmt: skip
"""Events whose type got more fields since: under the tag's name and the number of this set of fields."""

FACTS = {
    name: Fact("k1", 1_790_000_000_123_456, 17, event, "trace-1", "客户 asked")
    for name, event in [*((str(event.__struct_config__.tag), event) for event in EVENTS), *LATER.items()]
}
FACTS["adjustment_posted.v1.2"] = Fact(
    "k1",
    1_790_000_000_123_456,
    17,
    wallet.AdjustmentPosted("credit", "CREDIT", 500_000, "a2"),
    "trace-1",
    "late",
    1_789_999_999_999_999,
)
"""The envelope got a field: when an event happened whose period was closed."""
