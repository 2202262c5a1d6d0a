-- What the funding tie-out is made of: the journal's side of it, and the books' own. Neither is made of the other.

-- name: read_funding_accounts
-- Book by book where the journal is, how many events it has not followed, and what went through each account of a
-- source: before the first instant of a period, and before its end. Without such accounts one row of nothing else.
-- Movements stand by days of the workspace's own zone, of which none begins more than 15 hours away from the day of the
-- same number in UTC: blocks of positions with any movement near one of the two instants are read leg by leg.
select book.workspace_id, followed.position, book.position - followed.position, source.bucket, source.account,
    source.debit_before, source.credit_before, source.debit, source.credit
from ledger.book
cross join lateral (
    select coalesce(max(progress.position), 0) as position
    from projections.progress
    where progress.workspace_id = book.workspace_id and progress.projection = 'journal'
        and progress.generation = (
            select generation from projections.generation where projection = 'journal' and status = 'active')
) as followed
left join lateral (
    select wallet.bucket, moved.account,
        coalesce(sum(moved.debit_minor) filter (where moved.happened_at < %(begin)s::int8), 0) as debit_before,
        coalesce(sum(moved.credit_minor) filter (where moved.happened_at < %(begin)s::int8), 0) as credit_before,
        coalesce(sum(moved.debit_minor) filter (where moved.happened_at < %(end)s::int8), 0) as debit,
        coalesce(sum(moved.credit_minor) filter (where moved.happened_at < %(end)s::int8), 0) as credit
    from projections.wallet
    cross join lateral (
        with cells as materialized (
            select movement.account, movement.day, movement.block, movement.debit_minor, movement.credit_minor,
                bool_or(movement.day between %(begin_day)s::int4 - 1 and %(begin_day)s::int4 + 1
                    or movement.day between %(end_day)s::int4 - 1 and %(end_day)s::int4 + 1)
                    over (partition by movement.account, movement.block) as is_cut
            from projections.movement
            where movement.workspace_id = wallet.workspace_id and movement.generation = wallet.generation
                and movement.bucket = wallet.bucket and movement.account >= 'funding.' and movement.account < 'funding/'
        )
        select cells.account, cells.day * %(day_microseconds)s::int8 as happened_at, cells.debit_minor,
            cells.credit_minor
        from cells
        where not cells.is_cut
        union all
        select cut.account, entry.effective_at, case when leg.debit_account = cut.account then leg.minor else 0 end,
            case when leg.credit_account = cut.account then leg.minor else 0 end
        from (select distinct cells.account, cells.block from cells where cells.is_cut) as cut
        cross join lateral (
            select leg.position, leg.debit_account, leg.credit_account, leg.minor
            from projections.leg
            where leg.workspace_id = wallet.workspace_id and leg.generation = wallet.generation
                and leg.bucket = wallet.bucket and leg.position >= cut.block << %(block_bits)s::int4
                and leg.position < (cut.block + 1) << %(block_bits)s::int4
                and cut.account in (leg.debit_account, leg.credit_account)
            offset 0
        ) as leg
        cross join lateral (
            select entry.effective_at
            from projections.entry
            where entry.workspace_id = wallet.workspace_id and entry.generation = wallet.generation
                and entry.bucket = wallet.bucket and entry.position = leg.position
            offset 0
        ) as entry
    ) as moved
    where wallet.workspace_id = book.workspace_id and wallet.generation = (
        select generation from projections.generation where projection = 'journal' and status = 'active')
    group by wallet.bucket, moved.account
) as source on true
where %(workspace_id)s::text is null or book.workspace_id = %(workspace_id)s
order by book.workspace_id, source.bucket, source.account

-- name: read_funding_events
-- Payments, reversals and withdrawals of books up to a position of each, out of the short streams of their wallets.
select event.workspace_id, event.position, event.state
from unnest(%(workspace_ids)s::text[], %(positions)s::int8[]) as asked (workspace_id, position)
cross join lateral (
    select event.workspace_id, event.position, event.state
    from ledger.event
    where event.workspace_id = asked.workspace_id and event.stream >= 'wallet/' and event.stream < 'wallet0'
        and event.position <= asked.position and event.tag = any(%(tags)s::text[])
    offset 0
) as event
order by event.workspace_id, event.position
