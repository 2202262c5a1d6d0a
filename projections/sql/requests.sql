-- The route ledger as it is read. Every statement reads the active generation.
--
-- A page walks one index, in the order of time; there is a statement for each. What no index begins with is judged on
-- the way, over at most so many rows: the last of these comes with its number even if it is not asked for, so that the
-- next page goes on behind it. A condition that is left out is null.
--
-- The name that an index has before the time is asked for as a range of that one name, and is in the order: so no other
-- index can give this order, and the planner cannot take one in the hope of meeting the rows soon.

-- name: read_requests
select to_json(walked)::text, wanted.is_wanted, walked.number
from (
    select request.*, row_number() over (order by request.began_at desc, request.request_id desc) as number
    from projections.request
    where request.workspace_id = %(workspace_id)s and request.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and (request.began_at, request.request_id) < (%(last_began_at)s::int8, %(last_request_id)s::text)
        and request.began_at >= %(begin)s::int8
    order by request.began_at desc, request.request_id desc
    limit %(walked_max)s
) as walked
cross join lateral (
    select (%(project_id)s::text is null or walked.project_id = %(project_id)s)
        and (%(workflow)s::text is null or walked.workflow = %(workflow)s)
        and (%(model)s::text is null or walked.model = %(model)s)
        and (%(route)s::text is null or walked.route = %(route)s)
        and (%(tier)s::text is null or walked.tier = %(tier)s)
        and (%(provider)s::text is null or walked.provider = %(provider)s)
        and (%(bucket)s::text is null or walked.bucket = %(bucket)s)
        and (%(status)s::text is null or walked.status = %(status)s)
        and (%(fallback)s::boolean is null or (walked.fallbacks > 0) = %(fallback)s) as is_wanted
) as wanted
where wanted.is_wanted or walked.number = %(walked_max)s
order by walked.began_at desc, walked.request_id desc
limit %(limit)s

-- name: read_requests_that_went_wrong
-- Those that moved to another route are among them.
select to_json(walked)::text, wanted.is_wanted, walked.number
from (
    select request.*, row_number() over (order by request.began_at desc, request.request_id desc) as number
    from projections.request
    where request.workspace_id = %(workspace_id)s and request.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and request.went_wrong
        and (request.began_at, request.request_id) < (%(last_began_at)s::int8, %(last_request_id)s::text)
        and request.began_at >= %(begin)s::int8
    order by request.began_at desc, request.request_id desc
    limit %(walked_max)s
) as walked
cross join lateral (
    select (%(project_id)s::text is null or walked.project_id = %(project_id)s)
        and (%(workflow)s::text is null or walked.workflow = %(workflow)s)
        and (%(model)s::text is null or walked.model = %(model)s)
        and (%(route)s::text is null or walked.route = %(route)s)
        and (%(tier)s::text is null or walked.tier = %(tier)s)
        and (%(provider)s::text is null or walked.provider = %(provider)s)
        and (%(bucket)s::text is null or walked.bucket = %(bucket)s)
        and (%(status)s::text is null or walked.status = %(status)s)
        and (%(fallback)s::boolean is null or (walked.fallbacks > 0) = %(fallback)s) as is_wanted
) as wanted
where wanted.is_wanted or walked.number = %(walked_max)s
order by walked.began_at desc, walked.request_id desc
limit %(limit)s

-- name: read_requests_of_key
select to_json(walked)::text, wanted.is_wanted, walked.number
from (
    select request.*, row_number() over (
        order by request.api_key_id desc, request.began_at desc, request.request_id desc) as number
    from projections.request
    where request.workspace_id = %(workspace_id)s and request.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and (request.api_key_id, request.began_at, request.request_id)
            < (%(api_key_id)s::text, %(last_began_at)s::int8, %(last_request_id)s::text)
        and (request.api_key_id, request.began_at) >= (%(api_key_id)s::text, %(begin)s::int8)
    order by request.api_key_id desc, request.began_at desc, request.request_id desc
    limit %(walked_max)s
) as walked
cross join lateral (
    select (%(project_id)s::text is null or walked.project_id = %(project_id)s)
        and (%(workflow)s::text is null or walked.workflow = %(workflow)s)
        and (%(model)s::text is null or walked.model = %(model)s)
        and (%(route)s::text is null or walked.route = %(route)s)
        and (%(tier)s::text is null or walked.tier = %(tier)s)
        and (%(provider)s::text is null or walked.provider = %(provider)s)
        and (%(bucket)s::text is null or walked.bucket = %(bucket)s)
        and (%(status)s::text is null or walked.status = %(status)s)
        and (%(fallback)s::boolean is null or (walked.fallbacks > 0) = %(fallback)s) as is_wanted
) as wanted
where wanted.is_wanted or walked.number = %(walked_max)s
order by walked.api_key_id desc, walked.began_at desc, walked.request_id desc
limit %(limit)s

-- name: read_requests_of_end_user
select to_json(walked)::text, wanted.is_wanted, walked.number
from (
    select request.*, row_number() over (
        order by request.end_user desc, request.began_at desc, request.request_id desc) as number
    from projections.request
    where request.workspace_id = %(workspace_id)s and request.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and request.end_user is not null and (request.end_user, request.began_at, request.request_id)
            < (%(end_user)s::text, %(last_began_at)s::int8, %(last_request_id)s::text)
        and (request.end_user, request.began_at) >= (%(end_user)s::text, %(begin)s::int8)
    order by request.end_user desc, request.began_at desc, request.request_id desc
    limit %(walked_max)s
) as walked
cross join lateral (
    select (%(api_key_id)s::text is null or walked.api_key_id = %(api_key_id)s)
        and (%(project_id)s::text is null or walked.project_id = %(project_id)s)
        and (%(workflow)s::text is null or walked.workflow = %(workflow)s)
        and (%(model)s::text is null or walked.model = %(model)s)
        and (%(route)s::text is null or walked.route = %(route)s)
        and (%(tier)s::text is null or walked.tier = %(tier)s)
        and (%(provider)s::text is null or walked.provider = %(provider)s)
        and (%(bucket)s::text is null or walked.bucket = %(bucket)s)
        and (%(status)s::text is null or walked.status = %(status)s)
        and (%(fallback)s::boolean is null or (walked.fallbacks > 0) = %(fallback)s) as is_wanted
) as wanted
where wanted.is_wanted or walked.number = %(walked_max)s
order by walked.end_user desc, walked.began_at desc, walked.request_id desc
limit %(limit)s

-- name: read_requests_of_run
select to_json(walked)::text, wanted.is_wanted, walked.number
from (
    select request.*, row_number() over (
        order by request.run desc, request.began_at desc, request.request_id desc) as number
    from projections.request
    where request.workspace_id = %(workspace_id)s and request.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and request.run is not null and (request.run, request.began_at, request.request_id)
            < (%(run)s::text, %(last_began_at)s::int8, %(last_request_id)s::text)
        and (request.run, request.began_at) >= (%(run)s::text, %(begin)s::int8)
    order by request.run desc, request.began_at desc, request.request_id desc
    limit %(walked_max)s
) as walked
cross join lateral (
    select (%(api_key_id)s::text is null or walked.api_key_id = %(api_key_id)s)
        and (%(end_user)s::text is null or walked.end_user = %(end_user)s)
        and (%(project_id)s::text is null or walked.project_id = %(project_id)s)
        and (%(workflow)s::text is null or walked.workflow = %(workflow)s)
        and (%(model)s::text is null or walked.model = %(model)s)
        and (%(route)s::text is null or walked.route = %(route)s)
        and (%(tier)s::text is null or walked.tier = %(tier)s)
        and (%(provider)s::text is null or walked.provider = %(provider)s)
        and (%(bucket)s::text is null or walked.bucket = %(bucket)s)
        and (%(status)s::text is null or walked.status = %(status)s)
        and (%(fallback)s::boolean is null or (walked.fallbacks > 0) = %(fallback)s) as is_wanted
) as wanted
where wanted.is_wanted or walked.number = %(walked_max)s
order by walked.run desc, walked.began_at desc, walked.request_id desc
limit %(limit)s

-- name: read_requests_of_all
-- Its index has the time as a sum, so that no page of one workspace walks it.
select to_json(walked)::text, wanted.is_wanted, walked.number
from (
    select request.*, request.began_at + 0 as instant, row_number() over (
        order by request.began_at + 0 desc, request.workspace_id desc, request.request_id desc) as number
    from projections.request
    where request.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and (request.began_at + 0, request.workspace_id, request.request_id)
            < (%(last_began_at)s::int8, %(last_workspace_id)s::text, %(last_request_id)s::text)
        and request.began_at + 0 >= %(begin)s::int8
    order by request.began_at + 0 desc, request.workspace_id desc, request.request_id desc
    limit %(walked_max)s
) as walked
cross join lateral (
    select (%(workflow)s::text is null or walked.workflow = %(workflow)s)
        and (%(model)s::text is null or walked.model = %(model)s)
        and (%(route)s::text is null or walked.route = %(route)s)
        and (%(tier)s::text is null or walked.tier = %(tier)s)
        and (%(provider)s::text is null or walked.provider = %(provider)s)
        and (%(bucket)s::text is null or walked.bucket = %(bucket)s)
        and (%(status)s::text is null or walked.status = %(status)s)
        and (%(fallback)s::boolean is null or (walked.fallbacks > 0) = %(fallback)s) as is_wanted
) as wanted
where wanted.is_wanted or walked.number = %(walked_max)s
order by walked.instant desc, walked.workspace_id desc, walked.request_id desc
limit %(limit)s

-- name: read_run
-- A run's requests in order of time.
select to_json(request)::text
from projections.request
where request.workspace_id = %(workspace_id)s and request.generation = (
        select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    and request.run is not null and request.run <= %(run)s::text
    and (request.run, request.began_at, request.request_id)
        > (%(run)s::text, %(last_began_at)s::int8, %(last_request_id)s::text)
    and (%(project_id)s::text is null or request.project_id = %(project_id)s)
    and (%(api_key_id)s::text is null or request.api_key_id = %(api_key_id)s)
order by request.run, request.began_at, request.request_id
limit %(limit)s

-- name: sum_run_requests
-- By bucket, route and the unit of the provider's bill. What is a request's stands where it is now or ended.
select json_build_object(
    'bucket', request.bucket, 'unit', request.unit, 'route', request.route, 'cost_unit', request.cost_unit,
    'workflows', coalesce(json_agg(distinct request.workflow) filter (where request.workflow is not null), '[]'),
    'began_at', min(request.began_at), 'changed_at', max(request.changed_at), 'ended_at', max(request.ended_at),
    'requests', count(*),
    'open', count(*) filter (where request.status = 'open'),
    'settled', count(*) filter (where request.status = 'settled'),
    'failed', count(*) filter (where request.status = 'failed'),
    'cancelled', count(*) filter (where request.status = 'cancelled'),
    'expired', count(*) filter (where request.status = 'expired'),
    'estimated', count(*) filter (where request.usage_source <> 'reported'),
    'without_cost', count(*) filter (where request.status = 'settled' and request.cost_minor is null),
    'fallbacks', sum(request.fallbacks),
    'input_tokens', coalesce(sum(request.input_tokens), 0),
    'output_tokens', coalesce(sum(request.output_tokens), 0),
    'held_minor', sum(request.held_minor),
    'charge_minor', coalesce(sum(request.charge_minor), 0),
    'paid_minor', coalesce(sum(request.paid_minor), 0),
    'overrun_minor', coalesce(sum(request.overrun_minor), 0),
    'refunded_minor', sum(request.refunded_minor),
    'cost_minor', coalesce(sum(request.cost_minor), 0))::text
from projections.request
where request.workspace_id = %(workspace_id)s and request.run = %(run)s and request.generation = (
        select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    and (%(project_id)s::text is null or request.project_id = %(project_id)s)
    and (%(api_key_id)s::text is null or request.api_key_id = %(api_key_id)s)
group by request.bucket, request.unit, request.route, request.cost_unit

-- name: sum_run_failures
-- Attempts that failed, by the bucket and route in which they did.
select json_build_object(
    'bucket', failure.bucket, 'route', failure.route, 'cost_unit', failure.cost_unit,
    'failed_attempts', count(*),
    'retries', count(*) filter (where failure.retried),
    'waste_unknown', count(*) filter (where failure.cost_minor is null),
    'waste_minor', coalesce(sum(failure.cost_minor), 0))::text
from projections.request
cross join lateral json_to_recordset(request.detail -> 'failures')
    as failure (bucket text, route text, retried boolean, cost_unit text, cost_minor int8)
where request.workspace_id = %(workspace_id)s and request.run = %(run)s and request.went_wrong
    and request.generation = (
        select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    and (%(project_id)s::text is null or request.project_id = %(project_id)s)
    and (%(api_key_id)s::text is null or request.api_key_id = %(api_key_id)s)
group by failure.bucket, failure.route, failure.cost_unit
