-- What a customer's statement is made of beside balances: events of the wallets, and what closed periods moved.

-- name: read_statement_units
-- The units of a workspace's wallets; no row for a book that the journal has not followed.
select wallet.bucket, wallet.unit, wallet.scale
from projections.wallet
where wallet.workspace_id = %(workspace_id)s and wallet.generation = (
    select generation from projections.generation where projection = 'journal' and status = 'active')

-- name: read_statement_facts
-- The money events of the wallets up to a position, and those that closed or reopened periods. Both streams are short.
select event.position, event.stream, event.tag, event.recorded_at, event.state
from ledger.event
where event.workspace_id = %(workspace_id)s and event.stream >= 'wallet/' and event.stream < 'wallet0'
    and event.position <= %(position)s and event.tag = any(%(funds_tags)s::text[])
union all
select event.position, event.stream, event.tag, event.recorded_at, event.state
from ledger.event
where event.workspace_id = %(workspace_id)s and event.stream = 'workspace'
    and event.position <= %(position)s and event.tag = any(%(period_tags)s::text[])
order by 1

-- name: read_moved
-- What happened in a period that was closed stands at the first instant after it. Movements tell the blocks of
-- positions that have entries of that day, so that no other is looked at.
select entry.position, event.stream, entry.tag, entry.recorded_at, event.state
from (
    select distinct movement.block
    from projections.movement
    where movement.workspace_id = %(workspace_id)s and movement.bucket = %(bucket)s
        and movement.account in ('wallet.available', 'wallet.held') and movement.day = %(day)s and movement.generation = (
            select generation from projections.generation where projection = 'journal' and status = 'active')
) as moved
cross join lateral (
    select *
    from projections.entry
    where entry.workspace_id = %(workspace_id)s and entry.bucket = %(bucket)s and entry.generation = (
            select generation from projections.generation where projection = 'journal' and status = 'active')
        and entry.position >= moved.block << %(block_bits)s and entry.position < (moved.block + 1) << %(block_bits)s
        and entry.position <= %(position)s and entry.effective_at = %(begin)s and entry.tag = any(%(tags)s::text[])
    offset 0
) as entry
cross join lateral (
    select *
    from ledger.event
    where event.workspace_id = entry.workspace_id and event.position = entry.position
    offset 0
) as event
where convert_from(event.state, 'UTF8')::json ->> 'served_at' is not null
order by entry.position
limit %(limit)s
