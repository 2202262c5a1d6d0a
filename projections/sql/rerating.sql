-- What a corrected rate card is compared with. Requests are found by the route ledger, and rated from their events.

-- name: find_next_rerated_book
-- The next book, by name, in which something was settled on the route at any time: the roll-ups know it, by when
-- requests ended. Each is asked by its key, up to the first that has something.
select book.workspace_id
from ledger.book
cross join lateral (
    select
    from projections.spend
    join projections.spend_cell on spend_cell.workspace_id = spend.workspace_id
        and spend_cell.generation = spend.generation and spend_cell.cell = spend.cell
    where spend.workspace_id = book.workspace_id and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and spend.settled > 0 and spend_cell.route = %(route)s
    limit 1
) as settled
where book.workspace_id > %(after)s::text
order by book.workspace_id
limit 1

-- name: read_settled_requests
-- A walk in the order in which requests began: that is when a rate card was chosen for them, whenever they were settled
-- and in whatever period that was posted. Over at most so many rows; the last one comes even if it is not asked for.
select walked.request_id, walked.began_at, walked.ended_at, walked.is_wanted, walked.number
from (
    select request.request_id, request.began_at, request.ended_at,
        request.route = %(route)s and request.status = 'settled' as is_wanted,
        row_number() over (order by request.began_at, request.request_id) as number
    from projections.request
    where request.workspace_id = %(workspace_id)s and request.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and (request.began_at, request.request_id) > (%(last_began_at)s::int8, %(last_request_id)s::text)
        and request.began_at >= %(begin)s::int8 and request.began_at < %(end)s::int8
    order by request.began_at, request.request_id
    limit %(walked_max)s
) as walked
where walked.is_wanted or walked.number = %(walked_max)s
order by walked.began_at, walked.request_id
limit %(limit)s

-- name: read_streams
-- All events of some requests of one book, by the key of their streams.
select event.stream, event.state
from ledger.event
where event.workspace_id = %(workspace_id)s and event.stream = any(%(streams)s::text[])
order by event.stream, event.version
