-- What a replay reads: every event of some books, and in the same snapshot what is live of them.

-- name: begin
begin isolation level repeatable read read only

-- name: commit
commit

-- name: hold_projections
-- Nothing is read: a generation that this snapshot may look at stays until its end, though another is shown.
select from projections.progress
join projections.account on account.workspace_id = progress.workspace_id
join projections.leg on leg.workspace_id = progress.workspace_id
join projections.request on request.workspace_id = progress.workspace_id
join projections.spend on spend.workspace_id = progress.workspace_id
join projections.spend_cell on spend_cell.workspace_id = progress.workspace_id
where progress.workspace_id = any(%b::text[])
limit 0

-- name: read_sizes
select workspace_id, position from ledger.book where position > 0 order by workspace_id

-- name: read_events
-- One book after the other, each by its key: no sort, whatever the size.
select event.workspace_id, event.position, event.stream, event.version, event.tag, event.command_id,
    event.recorded_at, event.state, event.digest
from unnest(%b::text[]) as book (workspace_id)
cross join lateral (
    select *
    from ledger.event
    where event.workspace_id = book.workspace_id
        and event.position <= coalesce(%b::int8, 9223372036854775807)
        and event.recorded_at <= coalesce(%b::int8, 9223372036854775807)
    order by event.position
) as event

-- name: read_earlier
-- The beginning of one request's stream, for an event on a request that had ended.
select version, state
from ledger.event
where workspace_id = %b and stream = %b and version < %b
order by version

-- name: read_heads
select workspace_id, position, digest, recorded_at, workspace_version, catalog_version
from ledger.book
where workspace_id = any(%b::text[])

-- name: read_wallets
select workspace_id, bucket, unit, scale, posted_minor, held_minor, credit_limit_minor, frozen, version
from ledger.wallet
where workspace_id = any(%b::text[])

-- name: read_holds
select workspace_id, request_id, bucket, held_minor, expires_at, budgets, state
from ledger.hold
where workspace_id = any(%b::text[])

-- name: read_budgets
select workspace_id, budget, held_minor, charged_minor
from ledger.budget
where workspace_id = any(%b::text[])

-- name: read_progress
select progress.workspace_id, progress.projection, progress.position
from projections.generation as active
join projections.progress on progress.projection = active.projection and progress.generation = active.generation
where progress.workspace_id = any(%b::text[]) and active.status = 'active'

-- name: read_accounts
select workspace_id, bucket, account, debit_minor, credit_minor
from projections.account
where workspace_id = any(%b::text[]) and generation = (
    select generation from projections.generation where projection = 'journal' and status = 'active')

-- name: read_leg_sums
-- What the legs add up to: the same as the accounts' turnovers, or a leg has changed.
select workspace_id, bucket, debit_account, credit_account, sum(minor)
from projections.leg
where workspace_id = any(%b::text[]) and generation = (
    select generation from projections.generation where projection = 'journal' and status = 'active')
group by workspace_id, bucket, debit_account, credit_account

-- name: read_request_sums
-- By route: charge, what no balance paid, refunds and what is held.
select workspace_id, bucket, route, coalesce(sum(charge_minor), 0), coalesce(sum(overrun_minor), 0),
    sum(refunded_minor), sum(held_minor)
from projections.request
where workspace_id = any(%b::text[]) and generation = (
    select generation from projections.generation where projection = 'route_ledger' and status = 'active')
group by workspace_id, bucket, route

-- name: read_spend_sums
-- The same but for what is held: corrections count by themselves.
select spend.workspace_id, cell.bucket, cell.route, sum(spend.charge_minor + spend.corrected_minor),
    sum(spend.overrun_minor - spend.undone_minor), sum(spend.refunded_minor)
from projections.spend
join projections.spend_cell as cell on cell.workspace_id = spend.workspace_id
    and cell.generation = spend.generation and cell.cell = spend.cell
where spend.workspace_id = any(%b::text[]) and spend.generation = (
    select generation from projections.generation where projection = 'route_ledger' and status = 'active')
group by spend.workspace_id, cell.bucket, cell.route
