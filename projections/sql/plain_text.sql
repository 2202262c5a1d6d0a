-- The journal in the order of dates, for the exports in plain text. Books come as arrays, one element for each.

-- name: read_days_of_books
-- The first and the last day, in its own time zone, on which anything happened in each book.
select span.workspace_id, days.first, days.last
from unnest(%(workspace_ids)b::text[]) as span (workspace_id)
cross join lateral (
    select min(movement.day) as first, max(movement.day) as last
    from projections.movement
    where movement.workspace_id = span.workspace_id and movement.generation = %(generation)b
) as days
where days.first is not null

-- name: read_dated_legs
-- A calendar is the first instants of consecutive days; the day of an entry is how many of them have passed. Entries are
-- sorted while they are narrow, and then find their legs and their event by key.
with calendar as materialized (
    select edge.calendar, array_agg(edge.instant order by edge.instant) as edges
    from unnest(%(calendars_of_edges)b::int4[], %(edges)b::int8[]) as edge (calendar, instant)
    group by edge.calendar
)
select dated.day, dated.workspace_id, dated.bucket, dated.position, leg.leg, leg.debit_account, leg.credit_account,
    leg.minor, dated.tag, dated.request_id, dated.effective_at, dated.recorded_at, event.command_id, event.digest
from (
    select width_bucket(entry.effective_at, calendar.edges) as day, entry.*
    from unnest(
        %(workspace_ids)b::text[], %(first_positions)b::int8[], %(last_positions)b::int8[], %(calendars)b::int4[]
    ) as span (workspace_id, first_position, last_position, calendar)
    join calendar on calendar.calendar = span.calendar
    cross join lateral (
        select entry.workspace_id, entry.generation, entry.bucket, entry.position, entry.tag, entry.request_id,
            entry.effective_at, entry.recorded_at
        from projections.entry
        where entry.workspace_id = span.workspace_id and entry.generation = %(generation)b
            and entry.position between span.first_position and span.last_position
            and entry.effective_at >= %(effective_from)b and entry.effective_at < %(effective_before)b
    ) as entry
    order by day, entry.workspace_id, entry.position, entry.bucket
) as dated
join projections.leg on leg.workspace_id = dated.workspace_id and leg.generation = dated.generation
    and leg.bucket = dated.bucket and leg.position = dated.position
join ledger.event on event.workspace_id = dated.workspace_id and event.position = dated.position
order by dated.day, dated.workspace_id, dated.position, dated.bucket, leg.leg
