"""What an upstream says it burned: pure functions from decoded JSON of any dialect to a typed report.

`streams.read_body` reads a whole answer; `begin`, `fold` and `result` there read a stream event by event;
`filling.fill_in` turns a report with gaps into what can be settled. Nothing here does I/O or knows a price.

The rules, all of them learnt from somebody's wrong bill:

- Nobody sends increments. A later count replaces an earlier one; adding is always wrong.
- A zero or null never replaces a count: several upstreams close a stream with zeros.
- A side without a believable count is unknown, never zero; whoever settles estimates it and says so.
- What is wrong with a report has a name in `problems` (`bad:prompt_tokens`). No report raises.
- Parts are disjoint and sum to the totals by construction; overlaps that the upstream left in are clamped.
"""
