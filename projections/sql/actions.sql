-- Who did what: every event that no gateway wrote, the newest first. The list of tags is that of the index
-- ledger.event_of_people, word for word: only so can it be used.

-- name: read_actions
-- What the index does not begin with is judged on the way, over at most so many events of the book: the last of these
-- comes even if it is not asked for.
select walked.workspace_id, walked.position, walked.stream, walked.tag, walked.command_id, walked.recorded_at,
    walked.state, walked.is_wanted, walked.number
from (
    select event.*, row_number() over (order by event.position desc) as number,
        event.recorded_at >= %(begin)s::int8 and event.recorded_at < %(end)s::int8
            and (%(tags)s::text[] is null or event.tag = any(%(tags)s))
            and (%(actor)s::text is null or convert_from(event.state, 'UTF8')::json ->> 'actor' = %(actor)s)
            as is_wanted
    from ledger.event
    where event.workspace_id = %(workspace_id)s and event.position < %(last_position)s::int8
        and event.tag not in (
            'request_routed.v1', 'hold_extended.v1', 'attempt_failed.v1', 'fallback_taken.v1', 'tokens_settled.v1',
            'request_released.v1', 'request_voided.v1')
    order by event.position desc
    limit %(walked_max)s
) as walked
where walked.is_wanted or walked.number = %(walked_max)s
order by walked.position desc
limit %(limit)s

-- name: read_actions_of_all
-- The newest of each book, by its key, then the newest of them all. Books that have not moved since are not looked at.
select found.workspace_id, found.position, found.stream, found.tag, found.command_id, found.recorded_at, found.state
from ledger.book
cross join lateral (
    select event.*
    from ledger.event
    where event.workspace_id = book.workspace_id
        and event.tag not in (
            'request_routed.v1', 'hold_extended.v1', 'attempt_failed.v1', 'fallback_taken.v1', 'tokens_settled.v1',
            'request_released.v1', 'request_voided.v1')
        and event.recorded_at >= %(begin)s::int8 and event.recorded_at < %(end)s::int8
        and (event.recorded_at, event.workspace_id, event.position)
            < (%(last_recorded_at)s::int8, %(last_workspace_id)s::text, %(last_position)s::int8)
        and (%(tags)s::text[] is null or event.tag = any(%(tags)s))
        and (%(actor)s::text is null or convert_from(event.state, 'UTF8')::json ->> 'actor' = %(actor)s)
    order by event.position desc
    limit %(limit)s
) as found
where book.recorded_at >= %(begin)s::int8
order by found.recorded_at desc, found.workspace_id desc, found.position desc
limit %(limit)s
