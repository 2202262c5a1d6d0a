-- Spend as it is read. Every statement reads the active generation, in one snapshot.
--
-- The larger tables are summed by the first nine bytes of the cells' names where nothing is asked but what an
-- explanation tells apart: such cells begin alike, and one of them is looked up. Else each of them is, by its key: of
-- ever there may be many more. `offset 0` keeps a part of a statement as it is written. Dimensions are known by their
-- place: workspace, project, key, workflow, run, model, route, tier, provider, and of requests also end_user and step.

-- name: read_period
-- What was spent between two quarters of an hour, by all that an explanation tells apart; of the groups only those
-- that are named, all others in one.
with spent as materialized (
    select spend.workspace_id, substring(uuid_send(spend.cell) from 1 for 9) as name,
        sum(spend.requests) as requests, sum(spend.settled) as settled, sum(spend.failed) as failed,
        sum(spend.cancelled) as cancelled, sum(spend.expired) as expired, sum(spend.estimated) as estimated,
        sum(spend.unpriced) as unpriced, sum(spend.retries) as retries, sum(spend.fallbacks) as fallbacks,
        sum(spend.failed_attempts) as failed_attempts, sum(spend.input_tokens) as input_tokens,
        sum(spend.output_tokens) as output_tokens, sum(spend.without_cost) as without_cost,
        sum(spend.waste_unknown) as waste_unknown, sum(spend.charge_minor) as charge_minor,
        sum(spend.listed_minor) as listed_minor, sum(spend.list_minor) as list_minor,
        sum(spend.waived_minor) as waived_minor, sum(spend.overrun_minor) as overrun_minor,
        sum(spend.refunded_minor) as refunded_minor, sum(spend.corrected_minor) as corrected_minor,
        sum(spend.undone_minor) as undone_minor, sum(spend.cost_minor) as cost_minor,
        sum(spend.waste_minor) as waste_minor
    from projections.spend
    where spend.quarter >= %(begin)s::int8 and spend.quarter < %(end)s::int8
        and (%(workspace_id)s::text is null or spend.workspace_id = %(workspace_id)s)
        and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    group by 1, 2
), listed as (
    select line.workspace_id, line.name,
        json_agg(json_build_array(line.part_and_rate, line.tokens, line.rated_minor))::text as lines
    from (
        select source.workspace_id, source.name, source.part_and_rate, sum(source.tokens) as tokens,
            sum(source.rated_minor) as rated_minor
        from (
            select spend_line.workspace_id, substring(uuid_send(spend_line.cell) from 1 for 9) as name,
                spend_line.part || ' ' || spend_line.rate as part_and_rate, spend_line.tokens, spend_line.rated_minor
            from projections.spend_line
            where spend_line.quarter >= %(begin)s::int8 and spend_line.quarter < %(end)s::int8
                and (%(workspace_id)s::text is null or spend_line.workspace_id = %(workspace_id)s)
                and spend_line.generation = (
                    select generation from projections.generation
                    where projection = 'route_ledger' and status = 'active')
            offset 0
        ) as source
        group by source.workspace_id, source.name, source.part_and_rate
    ) as line
    group by line.workspace_id, line.name
)
select spent.workspace_id, found.workflow, found.model, found.bucket, found.route, found.reported_model,
    found.rate_card, found.first_route, found.first_bucket, found.first_rate_card, found.cost_unit, found.grouped,
    json_build_array(spent.requests, spent.settled, spent.failed, spent.cancelled, spent.expired, spent.estimated,
        spent.unpriced, spent.retries, spent.fallbacks, spent.failed_attempts, spent.input_tokens, spent.output_tokens,
        spent.without_cost, spent.waste_unknown, spent.charge_minor, spent.listed_minor, spent.list_minor,
        spent.waived_minor, spent.overrun_minor, spent.refunded_minor, spent.corrected_minor, spent.undone_minor,
        spent.cost_minor, spent.waste_minor)::text,
    coalesce(listed.lines, '[]')
from spent
cross join lateral (
    select cell.workflow, cell.model, cell.bucket, cell.route, cell.reported_model, cell.rate_card,
        cell.first_route, cell.first_bucket, cell.first_rate_card, cell.cost_unit,
        array_position(%(groups)s::text[], coalesce((array[
            cell.workspace_id, cell.project_id, cell.api_key_id, cell.workflow, cell.run, cell.model, cell.route,
            cell.tier])[%(by)s::int4], '')) as grouped
    from projections.spend_cell as cell
    where cell.workspace_id = spent.workspace_id and cell.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and cell.cell >= rpad(encode(spent.name, 'hex'), 32, '0')::uuid
    order by cell.cell
    limit 1
) as found
left join listed on listed.workspace_id = spent.workspace_id and listed.name = spent.name

-- name: read_period_by_cell
-- The same where cells must be told apart: by a project or a key, or in groups that are no part of what begins alike.
with spent as materialized (
    select distinct spend.workspace_id, spend.cell
    from projections.spend
    where spend.quarter >= %(begin)s::int8 and spend.quarter < %(end)s::int8
        and (%(workspace_id)s::text is null or spend.workspace_id = %(workspace_id)s)
        and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
), cells as materialized (
    select spent.workspace_id, spent.cell, found.*, dense_rank() over (
        order by spent.workspace_id, found.workflow, found.model, found.bucket, found.route, found.reported_model,
            found.rate_card, found.first_route, found.first_bucket, found.first_rate_card, found.cost_unit,
            found.grouped) as place
    from spent
    cross join lateral (
        select cell.workflow, cell.model, cell.bucket, cell.route, cell.reported_model, cell.rate_card,
            cell.first_route, cell.first_bucket, cell.first_rate_card, cell.cost_unit,
            array_position(%(groups)s::text[], coalesce((array[
                cell.workspace_id, cell.project_id, cell.api_key_id, cell.workflow, cell.run, cell.model, cell.route,
                cell.tier])[%(by)s::int4], '')) as grouped
        from projections.spend_cell as cell
        where cell.workspace_id = spent.workspace_id and cell.cell = spent.cell and cell.generation = (
                select generation from projections.generation where projection = 'route_ledger' and status = 'active')
            and (%(project_id)s::text is null or cell.project_id = %(project_id)s)
            and (%(api_key_id)s::text is null or cell.api_key_id = %(api_key_id)s)
        offset 0
    ) as found
), places as (
    select distinct place, workspace_id, workflow, model, bucket, route, reported_model, rate_card, first_route,
        first_bucket, first_rate_card, cost_unit, grouped
    from cells
), sums as (
    select cells.place,
        json_build_array(sum(spend.requests), sum(spend.settled), sum(spend.failed), sum(spend.cancelled),
            sum(spend.expired), sum(spend.estimated), sum(spend.unpriced), sum(spend.retries), sum(spend.fallbacks),
            sum(spend.failed_attempts), sum(spend.input_tokens), sum(spend.output_tokens), sum(spend.without_cost),
            sum(spend.waste_unknown), sum(spend.charge_minor), sum(spend.listed_minor), sum(spend.list_minor),
            sum(spend.waived_minor), sum(spend.overrun_minor), sum(spend.refunded_minor), sum(spend.corrected_minor),
            sum(spend.undone_minor), sum(spend.cost_minor), sum(spend.waste_minor))::text as sums
    from projections.spend
    join cells on cells.workspace_id = spend.workspace_id and cells.cell = spend.cell
    where spend.quarter >= %(begin)s::int8 and spend.quarter < %(end)s::int8
        and (%(workspace_id)s::text is null or spend.workspace_id = %(workspace_id)s)
        and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    group by cells.place
), lines as (
    select cells.place, line.part_and_rate, sum(line.tokens) as tokens, sum(line.rated_minor) as rated_minor
    from (
        select spend_line.workspace_id, spend_line.cell,
            spend_line.part || ' ' || spend_line.rate as part_and_rate, spend_line.tokens, spend_line.rated_minor
        from projections.spend_line
        where spend_line.quarter >= %(begin)s::int8 and spend_line.quarter < %(end)s::int8
            and (%(workspace_id)s::text is null or spend_line.workspace_id = %(workspace_id)s)
            and spend_line.generation = (
                select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        offset 0
    ) as line
    join cells on cells.workspace_id = line.workspace_id and cells.cell = line.cell
    group by cells.place, line.part_and_rate
), listed as (
    select place, json_agg(json_build_array(part_and_rate, tokens, rated_minor))::text as lines
    from lines
    group by place
)
select places.workspace_id, places.workflow, places.model, places.bucket, places.route, places.reported_model,
    places.rate_card, places.first_route, places.first_bucket, places.first_rate_card, places.cost_unit,
    places.grouped, sums.sums, coalesce(listed.lines, '[]')
from sums
join places on places.place = sums.place
left join listed on listed.place = sums.place

-- name: read_groups
-- In each bucket, or each unit of the providers' bills, the values of a dimension whose amount changed most between
-- two periods, and how many values have any amount there.
with spent as materialized (
    select spend.workspace_id, substring(uuid_send(spend.cell) from 1 for 9) as name,
        coalesce(sum(amount.minor) filter (where spend.quarter < %(before_end)s::int8), 0) as before_minor,
        coalesce(sum(amount.minor) filter (where spend.quarter >= %(after_begin)s::int8), 0) as after_minor
    from projections.spend
    cross join lateral (
        select case
            when %(measure)s::text = 'cost' then spend.cost_minor + spend.waste_minor
            when %(is_customer)s::boolean then spend.charge_minor - spend.overrun_minor + spend.corrected_minor
                + spend.undone_minor - spend.refunded_minor
            else spend.charge_minor + spend.corrected_minor - spend.refunded_minor
        end as minor
    ) as amount
    where (spend.quarter >= %(before_begin)s::int8 and spend.quarter < %(before_end)s::int8
            or spend.quarter >= %(after_begin)s::int8 and spend.quarter < %(after_end)s::int8)
        and (%(workspace_id)s::text is null or spend.workspace_id = %(workspace_id)s)
        and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    group by 1, 2
), grouped as (
    select found.spot, found.value, sum(spent.before_minor) as before_minor, sum(spent.after_minor) as after_minor
    from spent
    cross join lateral (
        select case when %(measure)s::text = 'cost' then cell.cost_unit else cell.bucket end as spot, cell.bucket,
            coalesce((array[
                cell.workspace_id, cell.project_id, cell.api_key_id, cell.workflow, cell.run, cell.model, cell.route,
                cell.tier])[%(by)s::int4], '') as value
        from projections.spend_cell as cell
        where cell.workspace_id = spent.workspace_id and cell.generation = (
                select generation from projections.generation where projection = 'route_ledger' and status = 'active')
            and cell.cell >= rpad(encode(spent.name, 'hex'), 32, '0')::uuid
        order by cell.cell
        limit 1
    ) as found
    where %(bucket)s::text is null or found.bucket = %(bucket)s
    group by found.spot, found.value
), ranked as (
    select spot, value,
        row_number() over (partition by spot order by abs(after_minor - before_minor) desc, value) as number,
        count(*) over (partition by spot) as groups
    from grouped
    where spot is not null and (before_minor <> 0 or after_minor <> 0)
)
select spot, value, groups from ranked where number <= %(groups_max)s::int4 order by spot, number

-- name: read_groups_by_cell
-- The same where cells must be told apart.
with spent as materialized (
    select spend.workspace_id, spend.cell,
        coalesce(sum(amount.minor) filter (where spend.quarter < %(before_end)s::int8), 0) as before_minor,
        coalesce(sum(amount.minor) filter (where spend.quarter >= %(after_begin)s::int8), 0) as after_minor
    from projections.spend
    cross join lateral (
        select case
            when %(measure)s::text = 'cost' then spend.cost_minor + spend.waste_minor
            when %(is_customer)s::boolean then spend.charge_minor - spend.overrun_minor + spend.corrected_minor
                + spend.undone_minor - spend.refunded_minor
            else spend.charge_minor + spend.corrected_minor - spend.refunded_minor
        end as minor
    ) as amount
    where (spend.quarter >= %(before_begin)s::int8 and spend.quarter < %(before_end)s::int8
            or spend.quarter >= %(after_begin)s::int8 and spend.quarter < %(after_end)s::int8)
        and (%(workspace_id)s::text is null or spend.workspace_id = %(workspace_id)s)
        and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    group by 1, 2
), grouped as (
    select found.spot, found.value, sum(spent.before_minor) as before_minor, sum(spent.after_minor) as after_minor
    from spent
    cross join lateral (
        select case when %(measure)s::text = 'cost' then cell.cost_unit else cell.bucket end as spot,
            coalesce((array[
                cell.workspace_id, cell.project_id, cell.api_key_id, cell.workflow, cell.run, cell.model, cell.route,
                cell.tier])[%(by)s::int4], '') as value
        from projections.spend_cell as cell
        where cell.workspace_id = spent.workspace_id and cell.cell = spent.cell and cell.generation = (
                select generation from projections.generation where projection = 'route_ledger' and status = 'active')
            and (%(project_id)s::text is null or cell.project_id = %(project_id)s)
            and (%(api_key_id)s::text is null or cell.api_key_id = %(api_key_id)s)
            and (%(bucket)s::text is null or cell.bucket = %(bucket)s)
        offset 0
    ) as found
    group by found.spot, found.value
), ranked as (
    select spot, value,
        row_number() over (partition by spot order by abs(after_minor - before_minor) desc, value) as number,
        count(*) over (partition by spot) as groups
    from grouped
    where spot is not null and (before_minor <> 0 or after_minor <> 0)
)
select spot, value, groups from ranked where number <= %(groups_max)s::int4 order by spot, number

-- name: read_spend
-- By span of time, bucket and up to three dimensions, in that order and behind a place. Amounts stand by bucket, and
-- costs by the unit of the bill.
with spent as materialized (
    select distinct spend.workspace_id, substring(uuid_send(spend.cell) from 1 for %(length)s::int4) as name
    from projections.spend
    where spend.quarter >= %(begin)s::int8 and spend.quarter < %(end)s::int8
        and (%(workspace_id)s::text is null or spend.workspace_id = %(workspace_id)s)
        and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
), cells as materialized (
    select spent.workspace_id, spent.name, found.*
    from spent
    cross join lateral (
        select cell.bucket, coalesce(cell.cost_unit, '') as cost_unit,
            coalesce(told.names[%(first)s::int4], '') as first, coalesce(told.names[%(second)s::int4], '') as second,
            coalesce(told.names[%(third)s::int4], '') as third
        from (
            select *
            from projections.spend_cell
            where spend_cell.workspace_id = spent.workspace_id and spend_cell.generation = (
                    select generation from projections.generation
                    where projection = 'route_ledger' and status = 'active')
                and spend_cell.cell >= rpad(encode(spent.name, 'hex'), 32, '0')::uuid
            order by spend_cell.cell
            limit 1
        ) as cell
        cross join lateral (
            select array[cell.workspace_id, cell.project_id, cell.api_key_id, cell.workflow, cell.run, cell.model,
                cell.route, cell.tier, cell.provider] as names
        ) as told
        where (%(project)s::text is null or cell.project_id = %(project)s)
            and (%(key)s::text is null or cell.api_key_id = %(key)s)
            and (%(workflow)s::text is null or cell.workflow = %(workflow)s)
            and (%(run)s::text is null or cell.run = %(run)s)
            and (%(model)s::text is null or cell.model = %(model)s)
            and (%(route)s::text is null or cell.route = %(route)s)
            and (%(tier)s::text is null or cell.tier = %(tier)s)
            and (%(provider)s::text is null or cell.provider = %(provider)s)
            and (%(bucket)s::text is null or cell.bucket = %(bucket)s)
    ) as found
), sums as (
    select spent.span, cells.bucket, cells.first, cells.second, cells.third, cells.cost_unit,
        sum(spent.requests) as requests, sum(spent.settled) as settled, sum(spent.failed) as failed,
        sum(spent.cancelled) as cancelled, sum(spent.expired) as expired, sum(spent.estimated) as estimated,
        sum(spent.unpriced) as unpriced, sum(spent.retries) as retries, sum(spent.fallbacks) as fallbacks,
        sum(spent.failed_attempts) as failed_attempts, sum(spent.input_tokens) as input_tokens,
        sum(spent.output_tokens) as output_tokens, sum(spent.without_cost) as without_cost,
        sum(spent.waste_unknown) as waste_unknown, sum(spent.charge_minor) as charge_minor,
        sum(spent.listed_minor) as listed_minor, sum(spent.list_minor) as list_minor,
        sum(spent.waived_minor) as waived_minor, sum(spent.overrun_minor) as overrun_minor,
        sum(spent.refunded_minor) as refunded_minor, sum(spent.corrected_minor) as corrected_minor,
        sum(spent.undone_minor) as undone_minor, sum(spent.cost_minor) as cost_minor,
        sum(spent.waste_minor) as waste_minor
    from (
        select width_bucket(spend.quarter, %(edges)s::int8[]) as span,
            substring(uuid_send(spend.cell) from 1 for %(length)s::int4) as name, spend.*
        from projections.spend
        where spend.quarter >= %(begin)s::int8 and spend.quarter < %(end)s::int8
            and (%(workspace_id)s::text is null or spend.workspace_id = %(workspace_id)s)
            and spend.generation = (
                select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        offset 0
    ) as spent
    join cells on cells.workspace_id = spent.workspace_id and cells.name = spent.name
    where (spent.span, cells.bucket, cells.first, cells.second, cells.third) > (%(after_span)s::int4,
        %(after_bucket)s::text, %(after_first)s::text, %(after_second)s::text, %(after_third)s::text)
    group by spent.span, cells.bucket, cells.first, cells.second, cells.third, cells.cost_unit
), rows as (
    select span, bucket, first, second, third,
        json_build_array(sum(requests), sum(settled), sum(failed), sum(cancelled), sum(expired), sum(estimated),
            sum(unpriced), sum(retries), sum(fallbacks), sum(failed_attempts), sum(input_tokens), sum(output_tokens),
            sum(without_cost), sum(waste_unknown), sum(charge_minor), sum(listed_minor), sum(list_minor),
            sum(waived_minor), sum(overrun_minor), sum(refunded_minor), sum(corrected_minor),
            sum(undone_minor))::text as sums,
        json_agg(json_build_array(cost_unit, cost_minor, waste_minor, settled - without_cost,
            failed_attempts - waste_unknown) order by cost_unit)::text as costs
    from sums
    group by span, bucket, first, second, third
    order by span, bucket, first, second, third
    limit %(limit)s
), parts as (
    select line.span, cells.bucket, cells.first, cells.second, cells.third, line.part, sum(line.tokens) as tokens
    from (
        select width_bucket(spend_line.quarter, %(edges)s::int8[]) as span, spend_line.workspace_id,
            substring(uuid_send(spend_line.cell) from 1 for %(length)s::int4) as name,
            spend_line.part, spend_line.tokens
        from projections.spend_line
        where spend_line.quarter >= %(begin)s::int8 and spend_line.quarter < %(end)s::int8
            and (%(workspace_id)s::text is null or spend_line.workspace_id = %(workspace_id)s)
            and spend_line.generation = (
                select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        offset 0
    ) as line
    join cells on cells.workspace_id = line.workspace_id and cells.name = line.name
    group by line.span, cells.bucket, cells.first, cells.second, cells.third, line.part
)
select rows.span, rows.bucket, rows.first, rows.second, rows.third, rows.sums, rows.costs,
    coalesce(json_agg(json_build_array(parts.part, parts.tokens)) filter (where parts.tokens <> 0), '[]')::text
from rows
left join parts on parts.span = rows.span and parts.bucket = rows.bucket and parts.first = rows.first
    and parts.second = rows.second and parts.third = rows.third
group by rows.span, rows.bucket, rows.first, rows.second, rows.third, rows.sums, rows.costs
order by rows.span, rows.bucket, rows.first, rows.second, rows.third

-- name: read_spend_of_requests
-- The same out of the requests of one workspace, which also know end user and step. Nothing happens to a request after
-- its last event was recorded. A failed attempt may have been on another route, and in another bucket, than the end.
-- Few requests have amendments: only those are taken apart whose text has the word.
with wanted as not materialized (
    select request.*, array[request.workspace_id, request.project_id, request.api_key_id, request.workflow, request.run,
        request.model, request.route, request.tier, request.provider, request.end_user, request.step] as names
    from projections.request
    where request.workspace_id = %(workspace_id)s and request.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and request.changed_at >= %(begin)s::int8
        and (%(project)s::text is null or request.project_id = %(project)s)
        and (%(key)s::text is null or request.api_key_id = %(key)s)
        and (%(workflow)s::text is null or request.workflow = %(workflow)s)
        and (%(run)s::text is null or request.run = %(run)s)
        and (%(model)s::text is null or request.model = %(model)s)
        and (%(end_user)s::text is null or request.end_user = %(end_user)s)
        and (%(step)s::text is null or request.step = %(step)s)
), ended as not materialized (
    select *
    from wanted
    where ended_at >= %(begin)s::int8 and ended_at < %(end)s::int8
        and (%(route)s::text is null or route = %(route)s) and (%(tier)s::text is null or tier = %(tier)s)
        and (%(provider)s::text is null or provider = %(provider)s)
        and (%(bucket)s::text is null or bucket = %(bucket)s)
), failures as not materialized (
    select wanted.names[1:6] || array[failure.route, failure.tier, failure.provider] || wanted.names[10:11] as names,
        failure.*
    from wanted
    cross join lateral json_to_recordset(coalesce(wanted.detail -> 'failures', '[]')) as failure (
        route text, tier text, provider text, bucket text, retried boolean, happened_at int8, cost_minor int8,
        cost_unit text)
    where wanted.went_wrong and failure.happened_at >= %(begin)s::int8 and failure.happened_at < %(end)s::int8
        and (%(route)s::text is null or failure.route = %(route)s)
        and (%(tier)s::text is null or failure.tier = %(tier)s)
        and (%(provider)s::text is null or failure.provider = %(provider)s)
        and (%(bucket)s::text is null or failure.bucket = %(bucket)s)
), amendments as not materialized (
    select wanted.names, wanted.bucket, wanted.cost_unit, amendment.happened_at, amendment.kind = 'refund' as is_refund,
        amendment.change_minor, coalesce(amendment.undone_minor, 0) as undone_minor
    from (select * from wanted where strpos(detail::text, '"amendments"') > 0 offset 0) as wanted
    cross join lateral json_to_recordset(coalesce(wanted.detail -> 'amendments', '[]')) as amendment (
        kind text, happened_at int8, change_minor int8, undone_minor int8)
    where amendment.happened_at >= %(begin)s::int8 and amendment.happened_at < %(end)s::int8
        and (%(route)s::text is null or wanted.route = %(route)s)
        and (%(tier)s::text is null or wanted.tier = %(tier)s)
        and (%(provider)s::text is null or wanted.provider = %(provider)s)
        and (%(bucket)s::text is null or wanted.bucket = %(bucket)s)
), facts as (
    select ended.ended_at as at, ended.names, ended.bucket, ended.cost_unit, 1 as requests,
        (ended.status = 'settled')::int4 as settled, (ended.status = 'failed')::int4 as failed,
        (ended.status = 'cancelled')::int4 as cancelled, (ended.status = 'expired')::int4 as expired,
        (ended.status = 'settled' and ended.usage_source <> 'reported')::int4 as estimated,
        (ended.status = 'settled' and ended.unpriced)::int4 as unpriced, 0 as retries, ended.fallbacks,
        0 as failed_attempts, coalesce(ended.input_tokens, 0) as input_tokens,
        coalesce(ended.output_tokens, 0) as output_tokens,
        (ended.status = 'settled' and ended.cost_minor is null)::int4 as without_cost, 0 as waste_unknown,
        coalesce(ended.charge_minor, 0) - coalesce(amended.change_minor, 0) as charge_minor,
        coalesce(ended.listed_minor, 0) as listed_minor, coalesce(ended.list_minor, 0) as list_minor,
        coalesce(ended.waived_minor, 0) as waived_minor,
        coalesce(ended.overrun_minor, 0) + coalesce(amended.undone_minor, 0) as overrun_minor, 0 as refunded_minor,
        0 as corrected_minor, 0 as undone_minor, coalesce(ended.cost_minor, 0) as cost_minor, 0 as waste_minor
    from ended
    cross join lateral (
        select sum(amendment.change_minor) as change_minor, sum(amendment.undone_minor) as undone_minor
        from json_to_recordset(
            case when strpos(ended.detail::text, '"correction"') > 0 then ended.detail -> 'amendments' else '[]' end)
            as amendment (kind text, change_minor int8, undone_minor int8)
        where amendment.kind = 'correction'
    ) as amended
    union all
    select happened_at, names, bucket, cost_unit, 0, 0, 0, 0, 0, 0, 0, retried::int4, 0, 1, 0, 0, 0,
        (cost_minor is null)::int4, 0, 0, 0, 0, 0, 0, 0, 0, 0, coalesce(cost_minor, 0)
    from failures
    union all
    select happened_at, names, bucket, cost_unit, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        case when is_refund then -change_minor else 0 end, case when is_refund then 0 else change_minor end,
        case when is_refund then 0 else undone_minor end, 0, 0
    from amendments
), sums as (
    select width_bucket(at, %(edges)s::int8[]) as span, bucket, coalesce(names[%(first)s::int4], '') as first,
        coalesce(names[%(second)s::int4], '') as second, coalesce(names[%(third)s::int4], '') as third,
        coalesce(cost_unit, '') as cost_unit, sum(requests) as requests, sum(settled) as settled, sum(failed) as failed,
        sum(cancelled) as cancelled, sum(expired) as expired, sum(estimated) as estimated, sum(unpriced) as unpriced,
        sum(retries) as retries, sum(fallbacks) as fallbacks, sum(failed_attempts) as failed_attempts,
        sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(without_cost) as without_cost,
        sum(waste_unknown) as waste_unknown, sum(charge_minor) as charge_minor, sum(listed_minor) as listed_minor,
        sum(list_minor) as list_minor, sum(waived_minor) as waived_minor, sum(overrun_minor) as overrun_minor,
        sum(refunded_minor) as refunded_minor, sum(corrected_minor) as corrected_minor,
        sum(undone_minor) as undone_minor, sum(cost_minor) as cost_minor, sum(waste_minor) as waste_minor
    from facts
    group by 1, 2, 3, 4, 5, 6
), rows as (
    select span, bucket, first, second, third,
        json_build_array(sum(requests), sum(settled), sum(failed), sum(cancelled), sum(expired), sum(estimated),
            sum(unpriced), sum(retries), sum(fallbacks), sum(failed_attempts), sum(input_tokens), sum(output_tokens),
            sum(without_cost), sum(waste_unknown), sum(charge_minor), sum(listed_minor), sum(list_minor),
            sum(waived_minor), sum(overrun_minor), sum(refunded_minor), sum(corrected_minor),
            sum(undone_minor))::text as sums,
        json_agg(json_build_array(cost_unit, cost_minor, waste_minor, settled - without_cost,
            failed_attempts - waste_unknown) order by cost_unit)::text as costs
    from sums
    group by span, bucket, first, second, third
    having (span, bucket, first, second, third) > (%(after_span)s::int4, %(after_bucket)s::text,
        %(after_first)s::text, %(after_second)s::text, %(after_third)s::text)
    order by span, bucket, first, second, third
    limit %(limit)s
), parts as (
    select width_bucket(ended.ended_at, %(edges)s::int8[]) as span, ended.bucket,
        coalesce(ended.names[%(first)s::int4], '') as first, coalesce(ended.names[%(second)s::int4], '') as second,
        coalesce(ended.names[%(third)s::int4], '') as third, line.part, sum(line.tokens) as tokens
    from ended
    cross join lateral json_to_recordset(coalesce(ended.detail -> 'lines', '[]')) as line (part text, tokens int8)
    group by 1, 2, 3, 4, 5, 6
)
select rows.span, rows.bucket, rows.first, rows.second, rows.third, rows.sums, rows.costs,
    coalesce(json_agg(json_build_array(parts.part, parts.tokens)) filter (where parts.tokens <> 0), '[]')::text
from rows
left join parts on parts.span = rows.span and parts.bucket = rows.bucket and parts.first = rows.first
    and parts.second = rows.second and parts.third = rows.third
group by rows.span, rows.bucket, rows.first, rows.second, rows.third, rows.sums, rows.costs
order by rows.span, rows.bucket, rows.first, rows.second, rows.third

-- name: read_refused
-- Calls that were refused before they became a request, by the same spans and dimensions, as far as they have them.
select width_bucket(refused_call.hour, %(edges)s::int8[]) as span,
    coalesce(told.names[%(first)s::int4], '') as first, coalesce(told.names[%(second)s::int4], '') as second,
    coalesce(told.names[%(third)s::int4], '') as third, sum(refused_call.calls)::int8
from ledger.refused_call
cross join lateral (
    select array[refused_call.workspace_id, null, refused_call.api_key_id, null, null, nullif(refused_call.model, '')]
        as names
) as told
where (%(workspace_id)s::text is null or refused_call.workspace_id = %(workspace_id)s)
    and refused_call.hour >= %(begin)s::int8 and refused_call.hour < %(end)s::int8
    and (%(key)s::text is null or refused_call.api_key_id = %(key)s)
    and (%(model)s::text is null or refused_call.model = %(model)s)
group by 1, 2, 3, 4
having (width_bucket(refused_call.hour, %(edges)s::int8[]), '', coalesce(told.names[%(first)s::int4], ''),
        coalesce(told.names[%(second)s::int4], ''), coalesce(told.names[%(third)s::int4], ''))
    > (%(after_span)s::int4, %(after_bucket)s::text, %(after_first)s::text, %(after_second)s::text,
        %(after_third)s::text)
order by 1, 2, 3, 4
limit %(limit)s

-- name: read_behind
-- How many events of a book, or of all, the route ledger has not followed yet.
select coalesce(sum(book.position - coalesce(progress.position, 0)), 0)::int8
from projections.generation as active
cross join ledger.book
left join projections.progress on progress.workspace_id = book.workspace_id
    and progress.projection = active.projection and progress.generation = active.generation
where active.projection = 'route_ledger' and active.status = 'active'
    and (%(workspace_id)s::text is null or book.workspace_id = %(workspace_id)s)

-- name: read_statement_charges
-- What a wallet was charged between two quarters of an hour, by project and model, with the position of the book that
-- it holds for and how many events are behind that: all in one snapshot. Without charges one row of nothing else.
with spent as materialized (
    select spend.workspace_id, spend.cell, sum(spend.settled) as settled, sum(spend.input_tokens) as input_tokens,
        sum(spend.output_tokens) as output_tokens, sum(spend.charge_minor) as charge_minor,
        sum(spend.overrun_minor) as overrun_minor, sum(spend.corrected_minor) as corrected_minor,
        sum(spend.undone_minor) as undone_minor, sum(spend.refunded_minor) as refunded_minor
    from projections.spend
    where spend.workspace_id = %(workspace_id)s
        and spend.quarter >= %(begin)s::int8 and spend.quarter < %(end)s::int8
        and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    group by spend.workspace_id, spend.cell
), charged as (
    select found.project_id, found.model, sum(spent.settled)::int8 as settled,
        sum(spent.input_tokens)::int8 as input_tokens, sum(spent.output_tokens)::int8 as output_tokens,
        json_build_array(sum(spent.charge_minor), sum(spent.overrun_minor), sum(spent.corrected_minor),
            sum(spent.undone_minor), sum(spent.refunded_minor))::text as amounts
    from spent
    cross join lateral (
        select cell.project_id, cell.model
        from projections.spend_cell as cell
        where cell.workspace_id = spent.workspace_id and cell.cell = spent.cell and cell.generation = (
                select generation from projections.generation where projection = 'route_ledger' and status = 'active')
            and cell.bucket = %(bucket)s
        offset 0
    ) as found
    group by found.project_id, found.model
)
select progress.position, book.position - progress.position, charged.project_id, charged.model, charged.settled,
    charged.input_tokens, charged.output_tokens, charged.amounts
from projections.generation as active
join projections.progress on progress.projection = active.projection and progress.generation = active.generation
join ledger.book on book.workspace_id = progress.workspace_id
left join charged on true
where progress.workspace_id = %(workspace_id)s and active.projection = 'route_ledger' and active.status = 'active'

-- name: read_margin
-- What was spent between two quarters of an hour by bucket, route, unit of the bill and rate card. An attempt that
-- failed on the route that its request was routed to at first was made under the card that it was routed under.
with spent as materialized (
    select spend.workspace_id, substring(uuid_send(spend.cell) from 1 for 9) as name,
        sum(spend.settled) as settled, sum(spend.failed_attempts) as failed_attempts,
        sum(spend.charge_minor) as charge_minor, sum(spend.overrun_minor) as overrun_minor,
        sum(spend.corrected_minor) as corrected_minor, sum(spend.undone_minor) as undone_minor,
        sum(spend.refunded_minor) as refunded_minor, sum(spend.cost_minor) as cost_minor,
        sum(spend.waste_minor) as waste_minor, sum(spend.without_cost) as without_cost,
        sum(spend.waste_unknown) as waste_unknown
    from projections.spend
    where spend.quarter >= %(begin)s::int8 and spend.quarter < %(end)s::int8
        and (%(workspace_id)s::text is null or spend.workspace_id = %(workspace_id)s)
        and spend.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
    group by 1, 2
)
select found.bucket, found.route, found.cost_unit, found.rate_card,
    json_build_array(sum(spent.settled), sum(spent.failed_attempts), sum(spent.charge_minor), sum(spent.overrun_minor),
        sum(spent.corrected_minor), sum(spent.undone_minor), sum(spent.refunded_minor), sum(spent.cost_minor),
        sum(spent.waste_minor), sum(spent.without_cost), sum(spent.waste_unknown))::text
from spent
cross join lateral (
    select cell.bucket, cell.route, cell.cost_unit, coalesce(cell.rate_card,
        case when cell.reported_model is null and cell.route = cell.first_route then cell.first_rate_card end)
        as rate_card
    from projections.spend_cell as cell
    where cell.workspace_id = spent.workspace_id and cell.generation = (
            select generation from projections.generation where projection = 'route_ledger' and status = 'active')
        and cell.cell >= rpad(encode(spent.name, 'hex'), 32, '0')::uuid
    order by cell.cell
    limit 1
) as found
group by found.bucket, found.route, found.cost_unit, found.rate_card
