-- The rows of the route ledger and of spend. New requests come by COPY (copying.sql); what changes travels as JSON,
-- which the server takes apart faster than the driver puts as many arrays together.

-- name: read_requests
-- One lookup by the key for each: a join would read the whole generation where the planner thinks it is small.
select found.workspace_id, found.generation, found.request_id, found.position, found.last_position, found.status,
    found.began_at, found.changed_at, found.ended_at, found.expires_at, found.project_id, found.api_key_id,
    found.end_user, found.workflow, found.run, found.step, found.model, found.route, found.tier, found.provider,
    found.upstream_model, found.reported_model, found.bucket, found.unit, found.rule, found.first_route,
    found.first_bucket, found.first_rate_card, found.rate_card, found.priced_by, found.attempts, found.retries,
    found.fallbacks, found.went_wrong, found.input_tokens, found.output_tokens, found.usage_source, found.policy,
    found.held_minor, found.charge_minor, found.paid_minor, found.refunded_minor, found.list_minor,
    found.listed_minor, found.waived_minor, found.overrun_minor, found.latency_ms, found.first_token_ms,
    found.cost_minor, found.cost_unit, found.unpriced, found.model_mismatch, found.trace_id, found.detail::text
from unnest(%b::text[], %b::text[]) as wanted (workspace_id, request_id)
cross join lateral (
    select *
    from projections.request
    where request.workspace_id = wanted.workspace_id and request.generation = %b
        and request.request_id = wanted.request_id
    limit 1
) as found

-- name: change_requests
-- All of these are there already: the conflict is what finds them by their key.
insert into projections.request (
    workspace_id, generation, request_id, position, last_position, status, began_at, changed_at, ended_at,
    expires_at, project_id, api_key_id, end_user, workflow, run, step, model, route, tier, provider, upstream_model,
    reported_model, bucket, unit, rule, first_route, first_bucket, first_rate_card, rate_card, priced_by, attempts,
    retries, fallbacks, went_wrong, input_tokens, output_tokens, usage_source, policy, held_minor, charge_minor,
    paid_minor, refunded_minor, list_minor, listed_minor, waived_minor, overrun_minor, latency_ms, first_token_ms,
    cost_minor, cost_unit, unpriced, model_mismatch, trace_id, detail)
select
    workspace_id, generation, request_id, position, last_position, status, began_at, changed_at, ended_at,
    expires_at, project_id, api_key_id, end_user, workflow, run, step, model, route, tier, provider, upstream_model,
    reported_model, bucket, unit, rule, first_route, first_bucket, first_rate_card, rate_card, priced_by, attempts,
    retries, fallbacks, went_wrong, input_tokens, output_tokens, usage_source, policy, held_minor, charge_minor,
    paid_minor, refunded_minor, list_minor, listed_minor, waived_minor, overrun_minor, latency_ms, first_token_ms,
    cost_minor, cost_unit, unpriced, model_mismatch, trace_id, detail
from json_populate_recordset(null::projections.request, %b::text::json)
on conflict (workspace_id, generation, request_id) do update set
    last_position = excluded.last_position, status = excluded.status, changed_at = excluded.changed_at, ended_at =
    excluded.ended_at, expires_at = excluded.expires_at, route = excluded.route, tier = excluded.tier, provider =
    excluded.provider, upstream_model = excluded.upstream_model, reported_model = excluded.reported_model, bucket =
    excluded.bucket, unit = excluded.unit, rule = excluded.rule, rate_card = excluded.rate_card, priced_by =
    excluded.priced_by, attempts = excluded.attempts, retries = excluded.retries, fallbacks = excluded.fallbacks,
    went_wrong = excluded.went_wrong, input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    usage_source = excluded.usage_source, policy = excluded.policy, held_minor = excluded.held_minor, charge_minor =
    excluded.charge_minor, paid_minor = excluded.paid_minor, refunded_minor = excluded.refunded_minor, list_minor =
    excluded.list_minor, listed_minor = excluded.listed_minor, waived_minor = excluded.waived_minor, overrun_minor =
    excluded.overrun_minor, latency_ms = excluded.latency_ms, first_token_ms = excluded.first_token_ms, cost_minor =
    excluded.cost_minor, cost_unit = excluded.cost_unit, unpriced = excluded.unpriced, model_mismatch =
    excluded.model_mismatch, detail = excluded.detail

-- name: add_cells
insert into projections.spend_cell (
    workspace_id, generation, cell, bucket, project_id, api_key_id, workflow, run, model, route, tier, provider,
    reported_model, rate_card, first_route, first_bucket, first_rate_card, cost_unit)
select
    workspace_id, generation, cell, bucket, project_id, api_key_id, workflow, run, model, route, tier, provider,
    reported_model, rate_card, first_route, first_bucket, first_rate_card, cost_unit
from json_populate_recordset(null::projections.spend_cell, %b::text::json)
on conflict (workspace_id, generation, cell) do nothing

-- name: add_spend
insert into projections.spend as spend (
    workspace_id, generation, quarter, cell, requests, settled, failed, cancelled, expired, estimated, unpriced,
    retries, fallbacks, failed_attempts, input_tokens, output_tokens, without_cost, waste_unknown, charge_minor,
    listed_minor, list_minor, waived_minor, overrun_minor, refunded_minor, corrected_minor, undone_minor,
    cost_minor, waste_minor)
select
    workspace_id, generation, quarter, cell, requests, settled, failed, cancelled, expired, estimated, unpriced,
    retries, fallbacks, failed_attempts, input_tokens, output_tokens, without_cost, waste_unknown, charge_minor,
    listed_minor, list_minor, waived_minor, overrun_minor, refunded_minor, corrected_minor, undone_minor,
    cost_minor, waste_minor
from json_populate_recordset(null::projections.spend, %b::text::json)
on conflict (workspace_id, generation, quarter, cell) do update set
    requests = spend.requests + excluded.requests, settled = spend.settled + excluded.settled, failed = spend.failed
    + excluded.failed, cancelled = spend.cancelled + excluded.cancelled, expired = spend.expired + excluded.expired,
    estimated = spend.estimated + excluded.estimated, unpriced = spend.unpriced + excluded.unpriced, retries =
    spend.retries + excluded.retries, fallbacks = spend.fallbacks + excluded.fallbacks, failed_attempts =
    spend.failed_attempts + excluded.failed_attempts, input_tokens = spend.input_tokens + excluded.input_tokens,
    output_tokens = spend.output_tokens + excluded.output_tokens, without_cost = spend.without_cost +
    excluded.without_cost, waste_unknown = spend.waste_unknown + excluded.waste_unknown, charge_minor =
    spend.charge_minor + excluded.charge_minor, listed_minor = spend.listed_minor + excluded.listed_minor,
    list_minor = spend.list_minor + excluded.list_minor, waived_minor = spend.waived_minor + excluded.waived_minor,
    overrun_minor = spend.overrun_minor + excluded.overrun_minor, refunded_minor = spend.refunded_minor +
    excluded.refunded_minor, corrected_minor = spend.corrected_minor + excluded.corrected_minor, undone_minor =
    spend.undone_minor + excluded.undone_minor, cost_minor = spend.cost_minor + excluded.cost_minor, waste_minor =
    spend.waste_minor + excluded.waste_minor

-- name: add_lines
insert into projections.spend_line as line (workspace_id, generation, quarter, cell, part, rate, tokens, rated_minor)
select workspace_id, generation, quarter, cell, part, rate, tokens, rated_minor
from json_populate_recordset(null::projections.spend_line, %b::text::json)
on conflict (workspace_id, generation, quarter, cell, part, rate) do update set
    tokens = line.tokens + excluded.tokens, rated_minor = line.rated_minor + excluded.rated_minor

-- name: forget_empty_spend
-- What a late event has taken out of a quarter leaves no row of nothing, as if it had never been there.
delete from projections.spend
where workspace_id = %b and generation = %b and quarter = %b and cell = %b::text::uuid and requests = 0
    and failed_attempts = 0 and refunded_minor = 0 and corrected_minor = 0 and undone_minor = 0
