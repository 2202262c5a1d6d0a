-- Balances at any moment. Each statement names the generation that it reads, which its reader has found active before
-- and finds active afterwards. Books come as arrays: one book and all of them are asked for alike.

-- name: read_active_generation
select generation from projections.generation where projection = 'journal' and status = 'active'

-- name: read_books
-- The books with the position that each has, and the one up to which the journal has followed it. The first event of a
-- book states its time zone.
select book.workspace_id, book.position, coalesce(progress.position, 0), beginning.state
from ledger.book
left join projections.progress on progress.workspace_id = book.workspace_id
    and progress.projection = 'journal' and progress.generation = %(generation)b
left join ledger.event as beginning on beginning.workspace_id = book.workspace_id and beginning.position = 1
where (%(workspace_id)b::text is null or book.workspace_id = %(workspace_id)b)
order by book.workspace_id

-- name: find_positions
-- Of each book the last position that was recorded before an instant. Recording times never fall along a book: its half
-- that cannot have the instant is left out again and again, each step one event by its key.
with recursive search (workspace_id, before, low, high) as (
    select asked.workspace_id, asked.before,
        case when book.recorded_at < asked.before then book.position else 0 end, book.position
    from unnest(%(workspace_ids)b::text[], %(befores)b::int8[]) as asked (workspace_id, before)
    join ledger.book on book.workspace_id = asked.workspace_id
    union all
    select halved.workspace_id, halved.before,
        case when event.recorded_at < halved.before then halved.middle else halved.low end,
        case when event.recorded_at < halved.before then halved.high else halved.middle - 1 end
    from (
        select search.*, (search.low + search.high + 1) / 2 as middle from search where search.low < search.high
    ) as halved
    cross join lateral (
        select event.recorded_at
        from ledger.event
        where event.workspace_id = halved.workspace_id and event.position = halved.middle
        offset 0
    ) as event
)
select search.workspace_id, search.low from search where search.low = search.high

-- name: read_turnovers
-- What went through each account, book by book or over all of them. Whole blocks of whole days are movements, and
-- where no day is asked for, what went through the account so far is one. Of a block that is cut, the legs of one part
-- are added, or those of the other part taken off; of a day that is cut, the legs of the blocks in which anything
-- happened on it. What is asked of all books alike is not looked up book by book.
select summed.workspace_id, summed.bucket, summed.account, summed.debit_minor, summed.credit_minor
from (
    select case when %(by_workspace)b::bool then moved.workspace_id end as workspace_id, moved.bucket, moved.account,
        sum(moved.debit_minor) as debit_minor, sum(moved.credit_minor) as credit_minor
    from (
        select account.workspace_id, account.bucket, account.account, account.debit_minor, account.credit_minor
        from unnest(%(uncut_workspace_ids)b::text[]) as uncut (workspace_id)
        join projections.account on account.workspace_id = uncut.workspace_id
            and account.generation = %(generation)b
        union all
        select movement.workspace_id, movement.bucket, movement.account, movement.debit_minor, movement.credit_minor
        from unnest(%(whole_workspace_ids)b::text[], %(whole_blocks_before)b::int8[], %(whole_days)b::int4[],
                %(whole_days_before)b::int4[])
            as whole (workspace_id, blocks_before, day, days_before)
        join projections.movement on movement.workspace_id = whole.workspace_id
            and movement.generation = %(generation)b and movement.day >= whole.day
            and movement.day < whole.days_before and movement.block < whole.blocks_before
        union all
        select all_movement.workspace_id, all_movement.bucket, all_movement.account, all_movement.debit_minor,
            all_movement.credit_minor
        from projections.movement as all_movement
        where all_movement.generation = %(generation)b and all_movement.day < %(days_of_all_before)b::int4
        union all
        select legs.workspace_id, legs.bucket, side.account, side.debit_minor, side.credit_minor
        from (
            select case when %(by_workspace)b::bool then span.workspace_id end as workspace_id, leg.bucket,
                leg.debit_account, leg.credit_account, sum(span.sign * leg.minor) as minor
            from unnest(%(span_workspace_ids)b::text[], %(span_firsts)b::int8[], %(span_lasts)b::int8[],
                    %(span_signs)b::int8[]) as span (workspace_id, first, last, sign)
            join projections.wallet on wallet.workspace_id = span.workspace_id
                and wallet.generation = %(generation)b
            join projections.leg on leg.workspace_id = wallet.workspace_id and leg.generation = wallet.generation
                and leg.bucket = wallet.bucket and leg.position between span.first and span.last
            group by 1, 2, 3, 4
            union all
            select case when %(by_workspace)b::bool then part.workspace_id end as workspace_id, part.bucket,
                leg.debit_account, leg.credit_account, sum(part.sign * leg.minor) as minor
            from (
                select timed.workspace_id, wallet.bucket, timed.first, timed.last, 0::int8 as effective_from,
                    timed.effective_before, timed.sign
                from unnest(%(timed_workspace_ids)b::text[], %(timed_firsts)b::int8[], %(timed_lasts)b::int8[],
                        %(timed_signs)b::int8[], %(timed_befores)b::int8[])
                    as timed (workspace_id, first, last, sign, effective_before)
                join projections.wallet on wallet.workspace_id = timed.workspace_id
                    and wallet.generation = %(generation)b
                union all
                select distinct cell.workspace_id, movement.bucket, movement.block << %(block_bits)b::int4,
                    least(cell.position, ((movement.block + 1) << %(block_bits)b::int4) - 1), cell.begin,
                    cell.effective_before, 1::int8
                from unnest(%(cell_workspace_ids)b::text[], %(cell_days)b::int4[], %(cell_begins)b::int8[],
                        %(cell_befores)b::int8[], %(cell_blocks_before)b::int8[], %(cell_positions)b::int8[])
                    as cell (workspace_id, day, begin, effective_before, blocks_before, position)
                join projections.account on account.workspace_id = cell.workspace_id
                    and account.generation = %(generation)b
                join projections.movement on movement.workspace_id = account.workspace_id
                    and movement.generation = account.generation and movement.bucket = account.bucket
                    and movement.account = account.account and movement.day = cell.day
                    and movement.block < cell.blocks_before
            ) as part
            cross join lateral (
                select entry.position
                from projections.entry
                where entry.workspace_id = part.workspace_id and entry.generation = %(generation)b
                    and entry.bucket = part.bucket and entry.position between part.first and part.last
                    and entry.effective_at >= part.effective_from and entry.effective_at < part.effective_before
                offset 0
            ) as entry
            cross join lateral (
                select leg.debit_account, leg.credit_account, leg.minor
                from projections.leg
                where leg.workspace_id = part.workspace_id and leg.generation = %(generation)b
                    and leg.bucket = part.bucket and leg.position = entry.position
                offset 0
            ) as leg
            group by 1, 2, 3, 4
        ) as legs
        cross join lateral (values (legs.debit_account, legs.minor, 0), (legs.credit_account, 0, legs.minor))
            as side (account, debit_minor, credit_minor)
    ) as moved
    where (%(bucket)b::text is null or moved.bucket = %(bucket)b)
        and (%(accounts)b::text[] is null or moved.account = any(%(accounts)b))
    group by 1, 2, 3
) as summed
where summed.debit_minor <> 0 or summed.credit_minor <> 0
order by 1, 2, 3

-- name: read_units
-- In what each bucket is counted: the same in every workspace that has it.
select distinct wallet.bucket, wallet.unit, wallet.scale
from projections.wallet
where wallet.generation = %(generation)b
    and (%(workspace_id)b::text is null or wallet.workspace_id = %(workspace_id)b)

-- name: read_wallets_of_books
select wallet.workspace_id, wallet.bucket, wallet.unit, wallet.scale
from unnest(%(workspace_ids)b::text[]) as asked (workspace_id)
join projections.wallet on wallet.workspace_id = asked.workspace_id and wallet.generation = %(generation)b
    and (%(bucket)b::text is null or wallet.bucket = %(bucket)b)
order by wallet.workspace_id, wallet.bucket

-- name: read_limits
-- What was recorded of the credit limits of wallets up to a position of each book, in order: few events of a stream.
select wallet.workspace_id, event.state
from unnest(%(workspace_ids)b::text[], %(positions)b::int8[]) as asked (workspace_id, position)
join projections.wallet on wallet.workspace_id = asked.workspace_id and wallet.generation = %(generation)b
    and (%(bucket)b::text is null or wallet.bucket = %(bucket)b)
cross join lateral (
    select event.position, event.state
    from ledger.event
    where event.workspace_id = wallet.workspace_id and event.stream = 'wallet/' || wallet.bucket
        and event.tag = any(%(tags)b) and event.position <= asked.position
    offset 0
) as event
order by wallet.workspace_id, event.position

-- name: read_statement_until
-- What moved a wallet up to a position, and before an instant: block by block of those in which anything did so early,
-- each only as far as the page needs.
select line.position, line.tag, line.request_id, line.effective_at, line.recorded_at, line.posted_change_minor,
    line.held_change_minor, line.posted_minor, line.held_minor, line.available_minor
from (
    select distinct movement.block
    from projections.movement
    where movement.workspace_id = %(workspace_id)b and movement.generation = %(generation)b
        and movement.bucket = %(bucket)b and movement.account = any(%(accounts)b)
        and movement.day < %(days_before)b::int4
        and movement.block between %(after)b::int8 >> %(block_bits)b::int4
            and %(position)b::int8 >> %(block_bits)b::int4
    order by movement.block
) as moved
cross join lateral (
    select entry.position, entry.tag, entry.request_id, entry.effective_at, entry.recorded_at,
        change.posted_minor as posted_change_minor, change.held_minor as held_change_minor, entry.posted_minor,
        entry.held_minor, entry.available_minor
    from projections.entry
    cross join lateral (
        select sum(side.minor)::int8 as posted_minor,
            coalesce(sum(side.minor) filter (where side.account = 'wallet.held'), 0)::int8 as held_minor
        from projections.leg
        cross join lateral (values (leg.credit_account, leg.minor), (leg.debit_account, -leg.minor))
            as side (account, minor)
        where leg.workspace_id = entry.workspace_id and leg.generation = entry.generation
            and leg.bucket = entry.bucket and leg.position = entry.position and side.account = any(%(accounts)b)
    ) as change
    where entry.workspace_id = %(workspace_id)b and entry.generation = %(generation)b
        and entry.bucket = %(bucket)b
        and entry.position > greatest(%(after)b::int8, (moved.block << %(block_bits)b::int4) - 1)
        and entry.position <= least(%(position)b::int8, ((moved.block + 1) << %(block_bits)b::int4) - 1)
        and entry.effective_at < %(effective_before)b::int8 and change.posted_minor is not null
    order by entry.position
    limit %(limit)b
) as line
order by moved.block, line.position
limit %(limit)b
