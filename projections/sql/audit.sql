-- What a verification reads: all of it in one snapshot, which several connections share.

-- name: begin
begin isolation level repeatable read read only

-- name: be_at_snapshot
set transaction snapshot {snapshot}

-- name: export_snapshot
select pg_export_snapshot()

-- name: commit
commit

-- name: hold_projections
-- Nothing is read: a generation that this snapshot may look at stays until its end, though another is shown.
select from projections.progress
join projections.leg on leg.workspace_id = progress.workspace_id
join projections.request on request.workspace_id = progress.workspace_id
join projections.spend_line on spend_line.workspace_id = progress.workspace_id
where progress.workspace_id = any(%b::text[])
limit 0

-- name: read_books
-- Every book, and how far it was followed: by the projections that are read now.
select book.workspace_id, book.position, journal.position, journal.failure, routes.position, routes.failure
from ledger.book
left join projections.progress as journal on journal.workspace_id = book.workspace_id
    and journal.projection = 'journal' and journal.generation = (
        select generation from projections.generation where projection = 'journal' and status = 'active')
left join projections.progress as routes on routes.workspace_id = book.workspace_id
    and routes.projection = 'route_ledger' and routes.generation = (
        select generation from projections.generation where projection = 'route_ledger' and status = 'active')
where book.workspace_id = coalesce(%b::text, book.workspace_id)
order by book.workspace_id

-- name: read_workspaces_of_events
-- From one workspace to the next by the key, as nobody needs the events between.
with recursive step as (
    (select event.workspace_id from ledger.event order by event.workspace_id limit 1)
    union all
    select (
        select event.workspace_id from ledger.event
        where event.workspace_id > step.workspace_id order by event.workspace_id limit 1)
    from step
    where step.workspace_id is not null
)
select step.workspace_id from step where step.workspace_id is not null

-- name: read_limits
-- Credit limits of some books from their beginning on: the first condition is that of an index.
select event.workspace_id, event.position, event.state
from ledger.event
where event.workspace_id = any(%b::text[])
    and event.tag not in (
        'request_routed.v1', 'hold_extended.v1', 'attempt_failed.v1', 'fallback_taken.v1', 'tokens_settled.v1',
        'request_released.v1', 'request_voided.v1')
    and event.tag in ('wallet_opened.v1', 'credit_limit_changed.v1')
order by event.workspace_id, event.position

-- name: read_events
-- Stretches one after the other, each by the book's key, with the event before: no sort, whatever the size.
select event.workspace_id, event.position, event.stream, event.version, event.tag, event.command_id,
    event.recorded_at, event.state, event.digest
from unnest(%b::text[], %b::int8[], %b::int8[]) as stretch (workspace_id, first, last)
cross join lateral (
    select *
    from ledger.event
    where event.workspace_id = stretch.workspace_id and event.position between stretch.first and stretch.last
    order by event.position
) as event

-- name: read_digest
select digest, recorded_at from ledger.event where workspace_id = %b and position = %b

-- name: read_buckets
-- Every bucket that has a wallet in the journal, or rows without one: by the keys, from one bucket to the next.
select book.workspace_id, found.bucket
from unnest(%b::text[]) as book (workspace_id)
cross join lateral (
    select wallet.bucket from projections.wallet
    where wallet.workspace_id = book.workspace_id and wallet.generation = %b
    union
    (
        with recursive step as (
            (
                select entry.bucket from projections.entry
                where entry.workspace_id = book.workspace_id and entry.generation = %b
                order by entry.bucket limit 1
            )
            union all
            select (
                select entry.bucket from projections.entry
                where entry.workspace_id = book.workspace_id and entry.generation = %b
                    and entry.bucket > step.bucket
                order by entry.bucket limit 1)
            from step
            where step.bucket is not null
        )
        select step.bucket from step where step.bucket is not null
    )
) as found
order by book.workspace_id, found.bucket

-- name: read_opening
-- Posted and held as the last entry before a stretch has them.
select found.bucket, found.posted_minor, found.held_minor
from unnest(%b::text[]) as asked (bucket)
cross join lateral (
    select entry.bucket, entry.posted_minor, entry.held_minor
    from projections.entry
    where entry.workspace_id = %b and entry.generation = %b and entry.bucket = asked.bucket
        and entry.position < %b
    order by entry.position desc
    limit 1
) as found

-- name: read_entries
select entry.*
from unnest(%b::text[], %b::text[], %b::int8[], %b::int8[]) as stretch (workspace_id, bucket, first, last)
cross join lateral (
    select workspace_id, generation, bucket, position, tag, request_id, effective_at, recorded_at, posted_minor,
        held_minor, available_minor
    from projections.entry
    where entry.workspace_id = stretch.workspace_id and entry.generation = %b
        and entry.bucket = stretch.bucket and entry.position between stretch.first and stretch.last
    order by entry.position
) as entry

-- name: read_legs
select leg.*
from unnest(%b::text[], %b::text[], %b::int8[], %b::int8[]) as stretch (workspace_id, bucket, first, last)
cross join lateral (
    select workspace_id, generation, bucket, position, leg, debit_account, credit_account, minor
    from projections.leg
    where leg.workspace_id = stretch.workspace_id and leg.generation = %b
        and leg.bucket = stretch.bucket and leg.position between stretch.first and stretch.last
    order by leg.position, leg.leg
) as leg

-- name: read_movements
select movement.workspace_id, movement.bucket, movement.account, movement.day, movement.block, movement.debit_minor,
    movement.credit_minor
from unnest(%b::text[], %b::int8[], %b::int8[]) as stretch (workspace_id, first, last)
cross join lateral (
    select * from projections.movement
    where movement.workspace_id = stretch.workspace_id and movement.generation = %b
        and movement.block between stretch.first and stretch.last
) as movement

-- name: read_moved_before
-- What whole blocks of positions moved before a day.
select bucket, account, sum(debit_minor), sum(credit_minor)
from projections.movement
where workspace_id = %b and generation = %b and day < %b and block < %b
group by bucket, account

-- name: read_zones
select workspace_id, state from ledger.event where workspace_id = any(%b::text[]) and position = 1

-- name: read_journal_wallets
select workspace_id, bucket, unit, scale, credit_limit_minor
from projections.wallet
where workspace_id = any(%b::text[]) and generation = %b

-- name: read_holds
-- Each open request beside its own events.
select hold.workspace_id, hold.request_id, hold.bucket, hold.held_minor, hold.expires_at, hold.budgets, hold.state,
    stream.states, stream.routed_at
from ledger.hold
cross join lateral (
    select array_agg(event.state order by event.version) as states, min(event.recorded_at) as routed_at
    from ledger.event
    where event.workspace_id = hold.workspace_id and event.stream = 'request/' || hold.request_id
) as stream
where hold.workspace_id = any(%b::text[])
order by hold.workspace_id, hold.request_id

-- name: read_requests_without_hold
-- Requests that are open as their events say, and have no row: asked only where the numbers differ.
select event.stream, event.position
from ledger.event
where event.workspace_id = %b and event.tag = 'request_routed.v1'
    and not exists (
        select from ledger.hold
        where hold.workspace_id = event.workspace_id and 'request/' || hold.request_id = event.stream)
    and not exists (
        select from ledger.event as later
        where later.workspace_id = event.workspace_id and later.stream = event.stream
            and later.tag in ('tokens_settled.v1', 'request_released.v1'))
order by event.position
limit %b

-- name: read_checkpoints
select checkpoint, made_at, key_id, root, books, events, note from ledger.checkpoint order by checkpoint

-- name: read_changed_heads
-- Heads in checkpoints that are not the digests of the events where they stand.
select head.workspace_id, head.checkpoint, head.position, head.digest, there.digest
from ledger.checkpoint_head as head
left join lateral (
    select event.digest from ledger.event where event.workspace_id = head.workspace_id and event.position = head.position
) as there on true
where head.workspace_id = any(%b::text[]) and there.digest is distinct from head.digest
order by head.workspace_id, head.checkpoint

-- name: read_period_events
-- What every book but the platform's began with, and all that closed or reopened periods: the first condition is that
-- of an index.
select book.workspace_id, told.state
from ledger.book
cross join lateral (
    select event.state
    from ledger.event
    where event.workspace_id = book.workspace_id
        and event.tag not in (
            'request_routed.v1', 'hold_extended.v1', 'attempt_failed.v1', 'fallback_taken.v1', 'tokens_settled.v1',
            'request_released.v1', 'request_voided.v1')
        and (event.position = 1 or event.tag in ('period_closed.v1', 'period_reopened.v1'))
    order by event.position
) as told
where book.workspace_id <> 'platform'
order by book.workspace_id
