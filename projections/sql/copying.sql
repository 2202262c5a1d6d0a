-- Rows by binary COPY, into a projection that is read or into a generation that is being filled.

-- name: copy_entries
copy {table}
    (workspace_id, generation, bucket, position, tag, request_id, effective_at, recorded_at,
    posted_minor, held_minor, available_minor)
from stdin (format binary)

-- name: copy_legs
copy {table} (workspace_id, generation, bucket, position, leg, debit_account, credit_account, minor)
from stdin (format binary)

-- name: copy_accounts
copy {table} (workspace_id, generation, bucket, account, debit_minor, credit_minor) from stdin (format binary)

-- name: copy_movements
copy {table} (workspace_id, generation, bucket, account, day, block, debit_minor, credit_minor)
from stdin (format binary)

-- name: copy_wallets
copy {table} (workspace_id, generation, bucket, unit, scale, credit_limit_minor) from stdin (format binary)

-- name: copy_requests
copy {table} (
    workspace_id, generation, request_id, position, last_position, status, began_at, changed_at, ended_at,
    expires_at, project_id, api_key_id, end_user, workflow, run, step, model, route, tier, provider, upstream_model,
    reported_model, bucket, unit, rule, first_route, first_bucket, first_rate_card, rate_card, priced_by, attempts,
    retries, fallbacks, went_wrong, input_tokens, output_tokens, usage_source, policy, held_minor, charge_minor,
    paid_minor, refunded_minor, list_minor, listed_minor, waived_minor, overrun_minor, latency_ms, first_token_ms,
    cost_minor, cost_unit, unpriced, model_mismatch, trace_id, detail)
from stdin (format binary)
