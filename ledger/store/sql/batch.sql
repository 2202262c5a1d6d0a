-- The statements of group commit: what a batch reads under its locks, and what it writes.
-- Every one takes arrays, so that a batch of a thousand commands is as many statements as a batch of one.

-- name: begin
begin isolation level read committed

-- name: insert_missing_books
insert into ledger.book (workspace_id, digest)
select wanted.workspace_id, wanted.digest
from unnest(%b::text[], %b::bytea[]) as wanted (workspace_id, digest)
on conflict (workspace_id) do nothing

-- name: lock_books
-- Sorted, so that two batches that share books never wait for each other in a circle.
select workspace_id, position, digest, recorded_at, workspace_version, catalog_version
from ledger.book
where workspace_id = any(%b::text[])
order by workspace_id
for no key update

-- name: read_clock
-- The clock after the locks. Whatever the server's default is, this transaction's commit waits for the disk.
select
    (extract(epoch from clock_timestamp()) * 1000000)::bigint,
    (select position from ledger.book where workspace_id = 'platform'),
    set_config('synchronous_commit', 'on', true)

-- name: read_wallets
select workspace_id, bucket, unit, scale, posted_minor, held_minor, credit_limit_minor, frozen, version
from ledger.wallet
where workspace_id = any(%b::text[])

-- name: read_holds
select hold.workspace_id, hold.request_id, hold.state,
    case when hold.budgets <> '{}' then (
        select json_agg(json_build_array(budget.budget, budget.held_minor, budget.charged_minor))::text
        from ledger.budget
        where budget.workspace_id = hold.workspace_id and budget.budget = any(hold.budgets)
    ) end
from unnest(%b::text[], %b::text[]) as wanted (workspace_id, request_id)
join ledger.hold on hold.workspace_id = wanted.workspace_id and hold.request_id = wanted.request_id

-- name: read_ended
-- Requests without an open hold are folded from their own few events.
select event.workspace_id, event.position, event.stream, event.version, event.tag, event.command_id,
    event.recorded_at, event.state, event.digest
from unnest(%b::text[], %b::text[]) as wanted (workspace_id, request_id)
join ledger.event on event.workspace_id = wanted.workspace_id and event.stream = 'request/' || wanted.request_id
where not exists (
    select from ledger.hold
    where hold.workspace_id = wanted.workspace_id and hold.request_id = wanted.request_id
)
order by event.workspace_id, event.position

-- name: read_known
select event.workspace_id, event.position, event.stream, event.version, event.tag, event.command_id,
    event.recorded_at, event.state, event.digest
from unnest(%b::text[], %b::text[]) as wanted (workspace_id, command_id)
join ledger.event on event.workspace_id = wanted.workspace_id and event.command_id = wanted.command_id

-- name: read_budgets
select budget.workspace_id, budget.budget, budget.held_minor, budget.charged_minor
from unnest(%b::text[], %b::text[]) as wanted (workspace_id, budget)
join ledger.budget on budget.workspace_id = wanted.workspace_id and budget.budget = wanted.budget

-- name: read_minutes
select minute_use.workspace_id, minute_use.api_key_id, minute_use.minute, minute_use.requests, minute_use.tokens
from unnest(%b::text[], %b::text[]) as wanted (workspace_id, api_key_id)
join ledger.minute_use
    on minute_use.workspace_id = wanted.workspace_id and minute_use.api_key_id = wanted.api_key_id

-- name: read_payments
-- A payment and its reversals share the beginning of their identity. Two questions, each with its own range of
-- the index: joined by `or` they would walk through the whole book.
select payment.workspace_id, payment.state
from unnest(%b::text[], %b::text[]) as wanted (workspace_id, payment)
cross join lateral (
    select event.workspace_id, event.position, event.state
    from ledger.event
    where event.workspace_id = wanted.workspace_id and event.command_id = '@funds/' || wanted.payment
    union all
    select event.workspace_id, event.position, event.state
    from ledger.event
    where event.workspace_id = wanted.workspace_id
        and event.command_id >= '@reversal/' || wanted.payment || '/'
        and event.command_id < '@reversal/' || wanted.payment || '0'
) as payment
order by payment.workspace_id, payment.position

-- name: read_workspace_events
-- Book by book: as a plain join the planner may begin with the streams called workspace of all books.
select event.workspace_id, event.version, event.state
from unnest(%b::text[], %b::int4[]) as wanted (workspace_id, version)
cross join lateral (
    select *
    from ledger.event
    where event.workspace_id = wanted.workspace_id
        and event.stream = 'workspace' and event.version > wanted.version
    order by event.version
) as event
order by event.workspace_id, event.version

-- name: read_catalog_events
select position, state
from ledger.event
where workspace_id = 'platform' and stream = 'catalog' and version > %b
order by version

-- name: read_tail
-- What a book has after a position, for the balances of a period that is closed: one more than there may be.
select state
from ledger.event
where workspace_id = %b and position > %b
order by position
limit %b

-- name: read_closings
-- The last closing of a period by each book but the platform's, while it is not reopened. The identities of all
-- closings of a period by a book are one short range of its index; their numbers grow with their length.
select book.workspace_id, case when not exists (
    select from ledger.event as reopening
    where reopening.workspace_id = book.workspace_id
        and reopening.command_id = replace(closing.command_id, '@period_closed/', '@period_reopened/')
) then closing.state end
from ledger.book
left join lateral (
    select event.command_id, event.state
    from ledger.event
    where event.workspace_id = book.workspace_id
        and event.command_id > '@period_closed/' || %b || '/' and event.command_id < '@period_closed/' || %b || '0'
    order by length(event.command_id) desc, event.command_id desc
    limit 1
) as closing on true
where book.workspace_id <> 'platform' and book.position > 0
order by book.workspace_id

-- name: insert_events
insert into ledger.event
    (workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest)
select * from unnest(
    %b::text[], %b::int8[], %b::text[], %b::int4[], %b::text[], %b::text[], %b::int8[], %b::bytea[], %b::bytea[])

-- name: insert_wallets
insert into ledger.wallet
    (workspace_id, bucket, unit, scale, posted_minor, held_minor, credit_limit_minor, frozen, version)
select * from unnest(
    %b::text[], %b::text[], %b::text[], %b::int4[], %b::int8[], %b::int8[], %b::int8[], %b::bool[], %b::int4[])

-- name: update_wallets
update ledger.wallet
set posted_minor = changed.posted_minor, held_minor = changed.held_minor,
    credit_limit_minor = changed.credit_limit_minor, frozen = changed.frozen, version = changed.version
from unnest(%b::text[], %b::text[], %b::int8[], %b::int8[], %b::int8[], %b::bool[], %b::int4[])
    as changed (workspace_id, bucket, posted_minor, held_minor, credit_limit_minor, frozen, version)
where wallet.workspace_id = changed.workspace_id and wallet.bucket = changed.bucket

-- name: delete_holds
delete from ledger.hold
using unnest(%b::text[], %b::text[]) as ended (workspace_id, request_id)
where hold.workspace_id = ended.workspace_id and hold.request_id = ended.request_id

-- name: insert_holds
insert into ledger.hold (workspace_id, request_id, bucket, held_minor, expires_at, budgets, state)
select placed.workspace_id, placed.request_id, placed.bucket, placed.held_minor, placed.expires_at,
    placed.budgets::text[], placed.state
from unnest(%b::text[], %b::text[], %b::text[], %b::int8[], %b::int8[], %b::text[], %b::bytea[])
    as placed (workspace_id, request_id, bucket, held_minor, expires_at, budgets, state)

-- name: update_holds
update ledger.hold
set held_minor = changed.held_minor, expires_at = changed.expires_at, state = changed.state
from unnest(%b::text[], %b::text[], %b::int8[], %b::int8[], %b::bytea[])
    as changed (workspace_id, request_id, held_minor, expires_at, state)
where hold.workspace_id = changed.workspace_id and hold.request_id = changed.request_id

-- name: insert_missing_budgets
insert into ledger.budget (workspace_id, budget, held_minor, charged_minor)
select wanted.workspace_id, wanted.budget, 0, 0
from unnest(%b::text[], %b::text[]) as wanted (workspace_id, budget)
on conflict (workspace_id, budget) do nothing

-- name: move_budgets
update ledger.budget
set held_minor = budget.held_minor + moved.held_minor, charged_minor = budget.charged_minor + moved.charged_minor
from unnest(%b::text[], %b::text[], %b::int8[], %b::int8[]) as moved (workspace_id, budget, held_minor, charged_minor)
where budget.workspace_id = moved.workspace_id and budget.budget = moved.budget

-- name: move_minutes
-- A difference where the key's latest minute is the same, else the new minute begins with it.
insert into ledger.minute_use (workspace_id, api_key_id, minute, requests, tokens)
select * from unnest(%b::text[], %b::text[], %b::int8[], %b::int8[], %b::int8[])
on conflict (workspace_id, api_key_id) do update
set minute = excluded.minute,
    requests = excluded.requests
        + case when minute_use.minute = excluded.minute then minute_use.requests else 0 end,
    tokens = excluded.tokens
        + case when minute_use.minute = excluded.minute then minute_use.tokens else 0 end

-- name: move_books
-- A book that is not where it was read makes this fail, and the commit behind it with it.
with moved as (
    update ledger.book
    set position = changed.position, digest = changed.digest, recorded_at = changed.recorded_at,
        workspace_version = changed.workspace_version, catalog_version = changed.catalog_version
    from unnest(%b::text[], %b::int8[], %b::int8[], %b::bytea[], %b::int8[], %b::int4[], %b::int4[])
        as changed (workspace_id, old_position, position, digest, recorded_at, workspace_version, catalog_version)
    where book.workspace_id = changed.workspace_id and book.position = changed.old_position
    returning 1
)
select ledger.require_rows(count(*), %b::int8) from moved

-- name: commit
commit

-- name: rollback
rollback

-- name: find_expired
-- The sweeper's only question over all books; each answer is checked again under its book's lock. By the clock
-- of the database, like that check.
select workspace_id, request_id
from ledger.hold
where expires_at <= (extract(epoch from statement_timestamp()) * 1000000)::int8
order by expires_at
limit %b

-- name: forget_pins
-- Kept responses that are older than anybody keeps them.
delete from ledger.pinned_response
where pinned_at < statement_timestamp() - interval '30 days'
