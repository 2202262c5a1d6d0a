-- What the read side answers. Every statement reads the active generation, so a rebuild changes places unseen.

-- name: read_accounts
-- A row with nothing but the position for a book without accounts.
select progress.position, account.bucket, wallet.unit, wallet.scale, account.account,
    account.debit_minor, account.credit_minor
from projections.generation as active
join projections.progress on progress.projection = active.projection and progress.generation = active.generation
left join projections.account on account.workspace_id = progress.workspace_id
    and account.generation = progress.generation
left join projections.wallet on wallet.workspace_id = account.workspace_id
    and wallet.generation = account.generation and wallet.bucket = account.bucket
where progress.workspace_id = %(workspace_id)s and active.projection = 'journal' and active.status = 'active'
order by account.bucket, account.account

-- name: read_trial_balance
-- Account by account over all books; buckets stay apart. Sums over books may pass a bigint: numeric.
select account.bucket, wallet.unit, wallet.scale, account.account,
    sum(account.debit_minor), sum(account.credit_minor), count(*)
from projections.account
join projections.wallet on wallet.workspace_id = account.workspace_id
    and wallet.generation = account.generation and wallet.bucket = account.bucket
where account.generation = (
    select generation from projections.generation where projection = 'journal' and status = 'active')
group by account.bucket, wallet.unit, wallet.scale, account.account
order by account.bucket, account.account

-- name: read_entries
-- A book has few buckets: the next entries of each, by its key, then the first of them all.
select page.bucket, page.unit, page.scale, page.position, page.tag, page.request_id, page.effective_at,
    page.recorded_at, legs.debit_accounts, legs.credit_accounts, legs.minors
from (
    select entry.*, wallet.unit, wallet.scale
    from projections.wallet
    cross join lateral (
        select *
        from projections.entry
        where entry.workspace_id = wallet.workspace_id and entry.generation = wallet.generation
            and entry.bucket = wallet.bucket and entry.position >= %(position)s
            and (entry.position > %(position)s or entry.bucket > %(bucket)s)
        order by entry.position
        limit %(limit)s
    ) as entry
    where wallet.workspace_id = %(workspace_id)s and wallet.generation = (
        select generation from projections.generation where projection = 'journal' and status = 'active')
    order by entry.position, entry.bucket
    limit %(limit)s
) as page
cross join lateral (
    select array_agg(leg.debit_account order by leg.leg) as debit_accounts,
        array_agg(leg.credit_account order by leg.leg) as credit_accounts,
        array_agg(leg.minor order by leg.leg) as minors
    from projections.leg
    where leg.workspace_id = page.workspace_id and leg.generation = page.generation
        and leg.bucket = page.bucket and leg.position = page.position
) as legs
order by page.position, page.bucket

-- name: read_wallet
select wallet.unit, wallet.scale
from projections.wallet
where wallet.workspace_id = %(workspace_id)s and wallet.bucket = %(bucket)s and wallet.generation = (
    select generation from projections.generation where projection = 'journal' and status = 'active')

-- name: read_statement
-- Only what moved the wallet: an entry between the platform's own accounts is not the customer's.
select entry.position, entry.tag, entry.request_id, entry.effective_at, entry.recorded_at,
    moved.posted_minor, moved.held_minor, entry.posted_minor, entry.held_minor, entry.available_minor
from projections.entry
cross join lateral (
    select sum(side.minor)::int8 as posted_minor,
        coalesce(sum(side.minor) filter (where side.account = 'wallet.held'), 0)::int8 as held_minor
    from projections.leg
    cross join lateral (values (leg.credit_account, leg.minor), (leg.debit_account, -leg.minor))
        as side (account, minor)
    where leg.workspace_id = entry.workspace_id and leg.generation = entry.generation
        and leg.bucket = entry.bucket and leg.position = entry.position
        and side.account in ('wallet.available', 'wallet.held')
) as moved
where entry.workspace_id = %(workspace_id)s and entry.bucket = %(bucket)s and entry.generation = (
        select generation from projections.generation where projection = 'journal' and status = 'active')
    and entry.position > %(position)s and moved.posted_minor is not null
order by entry.position
limit %(limit)s

-- name: read_events
select workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest
from ledger.event
where workspace_id = %(workspace_id)s and position > %(position)s
order by position
limit %(limit)s

-- name: read_stream
-- All events of one request, by the key of its stream. The books themselves are read: a receipt has no lag.
select workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest
from ledger.event
where workspace_id = %(workspace_id)s and stream = %(stream)s
order by version

-- name: find_books_of_stream
-- Whose request it is, when nobody says: each book is asked by its key.
select book.workspace_id
from ledger.book
cross join lateral (
    select from ledger.event
    where event.workspace_id = book.workspace_id and event.stream = %(stream)s and event.version = 1
) as begun
order by book.workspace_id
limit 10

-- name: read_book_position
select position from ledger.book where workspace_id = %(workspace_id)s

-- name: read_followed_position
select progress.position
from projections.generation as active
join projections.progress on progress.projection = active.projection and progress.generation = active.generation
where progress.workspace_id = %(workspace_id)s and active.projection = %(projection)s and active.status = 'active'

-- name: read_lag
select active.projection, active.generation,
    coalesce(sum(book.position - coalesce(progress.position, 0)), 0)::int8,
    count(*) filter (where book.position > coalesce(progress.position, 0)),
    count(progress.failure)
from projections.generation as active
cross join ledger.book
left join projections.progress on progress.workspace_id = book.workspace_id
    and progress.projection = active.projection and progress.generation = active.generation
where active.status = 'active'
group by active.projection, active.generation
order by active.projection

-- name: read_failures
select progress.projection, progress.workspace_id, progress.failed_position, progress.failure
from projections.generation as active
join projections.progress on progress.projection = active.projection and progress.generation = active.generation
where active.status = 'active' and progress.failure is not null
order by progress.projection, progress.workspace_id
limit 100
