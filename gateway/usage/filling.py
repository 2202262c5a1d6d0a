"""Closing the gaps of a report with estimates, so that it can be settled and flagged."""

from msgspec.structs import replace

from gateway.usage.reported import ReportedUsage, Side, usage_of
from ledger.pricing.usage import Usage


def doubted(reported: ReportedUsage, delivered_bytes: int) -> ReportedUsage:
    """Return a report whose output is unknown where it says that there was none though text was delivered."""
    if delivered_bytes <= 0 or reported.output is None or reported.output.tokens > 0:
        return reported
    # The report is then known by half, or by what other models burned.
    is_known = reported.input is not None or reported.others
    problems = (*reported.problems, "zero:output")
    return replace(reported, status="partial" if is_known else "missing", output=None, problems=problems)


def fill_in(reported: ReportedUsage, *, input_estimate: int, output_estimate: int) -> Usage:
    """Return the serving model's usage: reported where it is known, estimated where it isn't.

    The output of a cut stream is the larger of what was reported by then and the estimate of what was
    delivered. A settlement says `reported` only where the status is `complete`.
    """
    input_side = reported.input or Side(input_estimate, {"uncached_input": input_estimate})
    output = reported.output or Side(output_estimate, {"text_output": output_estimate})
    more = output_estimate - output.tokens
    if reported.output_may_grow and more > 0:
        text = output.parts.get("text_output", 0) + more
        output = Side(output_estimate, output.parts | {"text_output": text})
    return usage_of(input_side, output, reported.counted)
