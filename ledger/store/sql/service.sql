-- What the service asks outside of batches: installation, reads of the live state, names of people.

-- name: read_hash_key
select hash_key from ledger.installation

-- name: read_stream_after
select position, state
from ledger.event
where workspace_id = %(workspace_id)s and stream = %(stream)s and version > %(version)s
order by version

-- name: read_live_wallets
select book.position, wallet.bucket, wallet.unit, wallet.scale, wallet.posted_minor, wallet.held_minor,
    wallet.credit_limit_minor, wallet.frozen, wallet.version
from ledger.book
left join ledger.wallet on wallet.workspace_id = book.workspace_id
where book.workspace_id = %(workspace_id)s
order by wallet.bucket

-- name: put_display_name
insert into ledger.display_name (workspace_id, kind, name, display_name)
values (%(workspace_id)s, %(kind)s, %(name)s, %(display_name)s)
on conflict (workspace_id, kind, name) do update set display_name = excluded.display_name

-- name: erase_display_name
delete from ledger.display_name
where workspace_id = %(workspace_id)s and kind = %(kind)s and name = %(name)s

-- name: read_display_names
select kind, name, display_name
from ledger.display_name
where workspace_id = %(workspace_id)s

-- name: read_period_events
-- What closed and reopened the periods of a book: a few of the events of its short stream.
select workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest
from ledger.event
where workspace_id = %(workspace_id)s and stream = 'workspace'
    and tag in ('period_closed.v1', 'period_reopened.v1')
order by version

-- name: ping
select 1

-- name: count_refused_calls
insert into ledger.refused_call (workspace_id, api_key_id, hour, model, reason, calls)
select *
from unnest(
    %(workspaces)s::text[], %(keys)s::text[], %(hours)s::int8[], %(models)s::text[], %(reasons)s::text[],
    %(calls)s::int8[])
on conflict (workspace_id, hour, api_key_id, model, reason) do update
set calls = refused_call.calls + excluded.calls

-- name: read_refused_calls
select workspace_id, api_key_id, hour, model, reason, calls
from ledger.refused_call
where workspace_id = %(workspace_id)s and hour >= %(begin)s::int8 and hour < %(end)s::int8
    and hour <= %(after_hour)s::int8
    and (hour < %(after_hour)s::int8 or (workspace_id, api_key_id, model, reason)
        > (%(after_workspace)s::text, %(after_key)s::text, %(after_model)s::text, %(after_reason)s::text))
order by hour desc, api_key_id, model, reason
limit %(rows)s::int8

-- name: read_all_refused_calls
select workspace_id, api_key_id, hour, model, reason, calls
from ledger.refused_call
where hour >= %(begin)s::int8 and hour < %(end)s::int8
    and hour <= %(after_hour)s::int8
    and (hour < %(after_hour)s::int8 or (workspace_id, api_key_id, model, reason)
        > (%(after_workspace)s::text, %(after_key)s::text, %(after_model)s::text, %(after_reason)s::text))
order by hour desc, workspace_id, api_key_id, model, reason
limit %(rows)s::int8

-- name: read_route_health
select route, state, reason, open_until, changed_at from ledger.route_health order by route

-- name: read_provider_health
select provider, account_empty_until, changed_at from ledger.provider_health order by provider

-- name: report_route_health
-- Sorted, so that two reports never wait for each other in a circle.
insert into ledger.route_health (route, state, reason, open_until, changed_at)
select *
from unnest(
    %(routes)s::text[], %(states)s::text[], %(reasons)s::text[], %(ends)s::int8[], %(changes)s::int8[])
    as reported (route, state, reason, open_until, changed_at)
order by route
on conflict (route) do update
set state = excluded.state, reason = excluded.reason, open_until = excluded.open_until,
    changed_at = excluded.changed_at

-- name: report_provider_health
insert into ledger.provider_health (provider, account_empty_until, changed_at)
select *
from unnest(%(providers)s::text[], %(ends)s::int8[], %(changes)s::int8[])
    as reported (provider, account_empty_until, changed_at)
order by provider
on conflict (provider) do update
set account_empty_until = excluded.account_empty_until, changed_at = excluded.changed_at

-- name: pin_response
insert into ledger.pinned_response (workspace_id, response_id, route, request_id, tokens)
values (%(workspace_id)s, %(response_id)s, %(route)s, %(request_id)s, %(tokens)s)
on conflict (workspace_id, response_id) do update
set route = excluded.route, request_id = excluded.request_id, tokens = excluded.tokens, pinned_at = clock_timestamp()

-- name: read_pinned_response
select route, request_id, tokens
from ledger.pinned_response
where workspace_id = %(workspace_id)s and response_id = %(response_id)s
    and pinned_at >= statement_timestamp() - interval '30 days'
