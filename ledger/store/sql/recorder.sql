-- What the ports of the `eventsourcing` library ask of one book. Appending is group commit's, in batch.sql.

-- name: select_events
select stream, version, tag, state
from ledger.event
where workspace_id = %(workspace_id)s and stream = %(stream)s
    and version > %(after)s::int8 and (%(until)s::int8 is null or version <= %(until)s::int8)
order by version
limit %(rows)s::int8

-- name: select_events_backwards
select stream, version, tag, state
from ledger.event
where workspace_id = %(workspace_id)s and stream = %(stream)s
    and version > %(after)s::int8 and (%(until)s::int8 is null or version <= %(until)s::int8)
order by version desc
limit %(rows)s::int8

-- name: select_notifications
select stream, version, tag, state, position
from ledger.event
where workspace_id = %(workspace_id)s
    and position > %(after)s::int8 and (%(until)s::int8 is null or position <= %(until)s::int8)
    and (%(tags)s::text[] is null or tag = any(%(tags)s::text[]))
order by position
limit %(rows)s::int8

-- name: max_notification_id
select max(position)
from ledger.event
where workspace_id = %(workspace_id)s

-- name: insert_tracking
-- No row comes back when the application was as far before, or further.
insert into ledger.tracking (workspace_id, application_name, notification_id)
values (%(workspace_id)s, %(application_name)s, %(notification_id)s)
on conflict (workspace_id, application_name) do update
set notification_id = excluded.notification_id
where tracking.workspace_id = excluded.workspace_id and tracking.notification_id < excluded.notification_id
returning notification_id

-- name: max_tracking_id
select notification_id
from ledger.tracking
where workspace_id = %(workspace_id)s and application_name = %(application_name)s
