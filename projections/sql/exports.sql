-- The journal as files. Books come as arrays, one element for each, in the order of their names. Everything is read in
-- pages of a book's positions, so that the order costs a small sort each time and never one of everything.

-- name: hold_journal
-- Nothing is read: a generation that this snapshot may look at stays until its end, though another is shown.
select from projections.progress
join projections.wallet on wallet.workspace_id = progress.workspace_id
join projections.account on account.workspace_id = progress.workspace_id
join projections.movement on movement.workspace_id = progress.workspace_id
join projections.entry on entry.workspace_id = progress.workspace_id
join projections.leg on leg.workspace_id = progress.workspace_id
where progress.workspace_id = %(workspace_id)b
limit 0

-- name: prefer_ranges
-- Two long runs of rows are merged: nobody looks the second one up row by row.
select set_config('enable_nestloop', 'off', true)

-- name: prefer_keys
select set_config('enable_nestloop', 'on', true)

-- name: read_followed_books
-- How far books go, and how far the journal has followed each.
select book.workspace_id, book.position, coalesce(progress.position, 0), progress.failed_position, progress.failure
from ledger.book
left join projections.progress on progress.workspace_id = book.workspace_id
    and progress.projection = 'journal' and progress.generation = %(generation)b
where book.workspace_id = coalesce(%(workspace_id)b::text, book.workspace_id)
order by book.workspace_id

-- name: read_spans
-- Where the evidence of a period begins: with the last event that was recorded before (found by halving), else with the
-- first. With it the digest before, the digest at the end, and the event that states the time zone.
select span.workspace_id, first.position, span.position, head.digest, before.digest, opening.state
from unnest(%(workspace_ids)b::text[], %(positions)b::int8[]) as span (workspace_id, position)
cross join lateral (
    with recursive halving (low, high) as (
        select 0::int8, span.position + 1
        union all
        select case when event.recorded_at < %(recorded_before)b then middle.position else halving.low end,
            case when event.recorded_at < %(recorded_before)b then halving.high else middle.position end
        from halving
        cross join lateral (select (halving.low + halving.high) / 2 as position) as middle
        join ledger.event on event.workspace_id = span.workspace_id and event.position = middle.position
        where halving.high - halving.low > 1
    )
    select greatest(1, max(halving.low)) as position from halving
) as first
left join ledger.event as head on head.workspace_id = span.workspace_id and head.position = span.position
left join ledger.event as before on before.workspace_id = span.workspace_id and before.position = first.position - 1
left join ledger.event as opening on opening.workspace_id = span.workspace_id and opening.stream = 'workspace'
    and opening.version = 1
order by span.workspace_id

-- name: read_wallets_of_books
select wallet.workspace_id, wallet.bucket, wallet.unit, wallet.scale
from projections.wallet
where wallet.workspace_id = any(%(workspace_ids)b::text[]) and wallet.generation = %(generation)b
order by wallet.workspace_id, wallet.bucket

-- name: count_journal
-- How many entries and legs there are to write, by their keys alone.
select span.workspace_id, sum(entry.entries)::int8, sum(leg.legs)::int8
from unnest(%(workspace_ids)b::text[], %(first_positions)b::int8[], %(last_positions)b::int8[])
    as span (workspace_id, first_position, last_position)
cross join lateral (
    select wallet.bucket
    from projections.wallet
    where wallet.workspace_id = span.workspace_id and wallet.generation = %(generation)b
) as wallet
cross join lateral (
    select count(*) as entries
    from projections.entry
    where entry.workspace_id = span.workspace_id and entry.generation = %(generation)b
        and entry.bucket = wallet.bucket and entry.position between span.first_position and span.last_position
) as entry
cross join lateral (
    select count(*) as legs
    from projections.leg
    where leg.workspace_id = span.workspace_id and leg.generation = %(generation)b
        and leg.bucket = wallet.bucket and leg.position between span.first_position and span.last_position
) as leg
group by span.workspace_id

-- name: count_period
-- The same of a period, which only entries know. Every entry has a leg with number 1.
select span.workspace_id, count(*) filter (where leg.leg = 1), count(*)
from unnest(%(workspace_ids)b::text[], %(first_positions)b::int8[], %(last_positions)b::int8[])
    as span (workspace_id, first_position, last_position)
cross join lateral (
    select wallet.bucket
    from projections.wallet
    where wallet.workspace_id = span.workspace_id and wallet.generation = %(generation)b
) as wallet
cross join lateral (
    select leg.leg
    from projections.entry
    join projections.leg on leg.position = entry.position
    where entry.workspace_id = span.workspace_id and entry.generation = %(generation)b
        and entry.bucket = wallet.bucket and entry.position between span.first_position and span.last_position
        and entry.effective_at >= %(effective_from)b and entry.effective_at < %(effective_before)b
        and leg.workspace_id = span.workspace_id and leg.generation = %(generation)b
        and leg.bucket = wallet.bucket and leg.position between span.first_position and span.last_position
    offset 0
) as leg
group by span.workspace_id

-- name: copy_legs
-- A line for each leg. An amount is the count of smallest parts times one of them, whose digits it takes: no division,
-- and the full scale. `excel_safe` is a constant, so that without it the cells cost nothing.
copy (
    select leg.workspace_id, leg.position,
        case when %(excel_safe)s and leg.bucket ~ '^[-=+@\t\r\n]' then '''' || leg.bucket else leg.bucket end as bucket,
        leg.leg,
        case when %(excel_safe)s and leg.tag ~ '^[-=+@\t\r\n]' then '''' || leg.tag else leg.tag end as tag,
        case when %(excel_safe)s and leg.request_id ~ '^[-=+@\t\r\n]' then '''' || leg.request_id
            else leg.request_id end as request_id,
        leg.effective_at, leg.recorded_at,
        case when %(excel_safe)s and leg.debit_account ~ '^[-=+@\t\r\n]' then '''' || leg.debit_account
            else leg.debit_account end as debit_account,
        case when %(excel_safe)s and leg.credit_account ~ '^[-=+@\t\r\n]' then '''' || leg.credit_account
            else leg.credit_account end as credit_account,
        leg.amount, leg.unit
    from unnest(%(workspace_ids)s::text[], %(first_positions)s::int8[], %(last_positions)s::int8[])
        as span (workspace_id, first_position, last_position)
    cross join lateral generate_series(span.first_position, span.last_position, %(page)s) as page (first_position)
    cross join lateral (
        select leg.*, leg.minor * wallet.smallest_part as amount, wallet.bucket, wallet.unit
        from (
            select wallet.bucket, wallet.unit, ('1e-' || wallet.scale)::numeric as smallest_part
            from projections.wallet
            where wallet.workspace_id = span.workspace_id and wallet.generation = %(generation)s
            offset 0
        ) as wallet
        cross join lateral (
            select span.workspace_id, leg.position, leg.leg, entry.tag, entry.request_id, entry.effective_at,
                entry.recorded_at, leg.debit_account, leg.credit_account, leg.minor
            from (
                select entry.position, entry.tag, entry.request_id,
                    to_char(timestamp 'epoch' + entry.effective_at * interval '1 microsecond',
                        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as effective_at,
                    to_char(timestamp 'epoch' + entry.recorded_at * interval '1 microsecond',
                        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as recorded_at
                from projections.entry
                where entry.workspace_id = span.workspace_id and entry.generation = %(generation)s
                    and entry.bucket = wallet.bucket and entry.position >= page.first_position
                    and entry.position < page.first_position + %(page)s and entry.position <= span.last_position
                    and entry.effective_at >= %(effective_from)s and entry.effective_at < %(effective_before)s
                order by entry.position
                offset 0
            ) as entry
            join projections.leg on leg.position = entry.position
            where leg.workspace_id = span.workspace_id and leg.generation = %(generation)s
                and leg.bucket = wallet.bucket and leg.position >= page.first_position
                and leg.position < page.first_position + %(page)s
            offset 0
        ) as leg
        order by leg.position, wallet.bucket, leg.leg
    ) as leg
) to stdout (format csv, header)

-- name: copy_events
-- A line of JSON for each event: no value is null, so that what separates and quotes never occurs, and control
-- characters are escaped. Every character is as it was stored.
copy (
    select line.*
    from unnest(%(workspace_ids)s::text[], %(first_positions)s::int8[], %(last_positions)s::int8[])
        as span (workspace_id, first_position, last_position)
    cross join lateral generate_series(span.first_position, span.last_position, %(page)s) as page (first_position)
    cross join lateral (
        select row_to_json(event)
        from (
            select event.workspace_id, event.position, event.stream, event.version, event.tag, event.command_id,
                event.recorded_at, convert_from(event.state, 'UTF8') as state, encode(event.digest, 'hex') as digest,
                coalesce(entries.entries, '[]')::json as entries
            from (
                select *
                from ledger.event
                where event.workspace_id = span.workspace_id and event.position >= page.first_position
                    and event.position < page.first_position + %(page)s and event.position <= span.last_position
                order by event.position
                offset 0
            ) as event
            left join (
                select entry.position, '[' || string_agg(entry.entry, ',' order by entry.bucket) || ']' as entries
                from (
                    select leg.position, wallet.bucket,
                        '{"bucket":' || to_json(wallet.bucket) || ',"unit":' || to_json(wallet.unit) || ',"legs":['
                        || string_agg(
                            '[' || to_json(leg.debit_account) || ',' || to_json(leg.credit_account) || ',"'
                            || leg.minor * wallet.smallest_part || '"]',
                            ',' order by leg.leg)
                        || ']}' as entry
                    from (
                        select wallet.bucket, wallet.unit, ('1e-' || wallet.scale)::numeric as smallest_part
                        from projections.wallet
                        where wallet.workspace_id = span.workspace_id and wallet.generation = %(generation)s
                        offset 0
                    ) as wallet
                    cross join lateral (
                        select leg.position, leg.leg, leg.debit_account, leg.credit_account, leg.minor
                        from projections.leg
                        where leg.workspace_id = span.workspace_id and leg.generation = %(generation)s
                            and leg.bucket = wallet.bucket and leg.position >= page.first_position
                            and leg.position < page.first_position + %(page)s
                        order by leg.position, leg.leg
                        offset 0
                    ) as leg
                    group by leg.position, wallet.bucket, wallet.unit
                ) as entry
                group by entry.position
            ) as entries on entries.position = event.position
            order by event.position
        ) as event
    ) as line
) to stdout (format csv, quote e'\x01', delimiter e'\x02')
