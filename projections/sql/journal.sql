-- The journal's rows: what a page needs to begin with, and what it adds.

-- name: read_wallets
-- Posted and held are the turnovers of the wallet's two accounts; balances, unlike turnovers, fit a bigint. `offset 0`
-- has each account found by its key, whatever the statistics of a table say that was empty when it was looked at.
select wallet.workspace_id, wallet.bucket, wallet.unit, wallet.scale, wallet.credit_limit_minor,
    (coalesce(available.minor, 0) + coalesce(held.minor, 0))::int8, coalesce(held.minor, 0)::int8
from projections.wallet
left join lateral (
    select account.credit_minor - account.debit_minor as minor
    from projections.account
    where account.workspace_id = wallet.workspace_id and account.generation = wallet.generation
        and account.bucket = wallet.bucket and account.account = 'wallet.available'
    offset 0
) as available on true
left join lateral (
    select account.credit_minor - account.debit_minor as minor
    from projections.account
    where account.workspace_id = wallet.workspace_id and account.generation = wallet.generation
        and account.bucket = wallet.bucket and account.account = 'wallet.held'
    offset 0
) as held on true
where wallet.workspace_id = any(%b::text[]) and wallet.generation = %b

-- name: write_wallets
insert into projections.wallet (workspace_id, generation, bucket, unit, scale, credit_limit_minor)
select * from unnest(%b::text[], %b::int4[], %b::text[], %b::text[], %b::int4[], %b::int8[])
on conflict (workspace_id, generation, bucket) do update set credit_limit_minor = excluded.credit_limit_minor

-- name: move_accounts
insert into projections.account as account (workspace_id, generation, bucket, account, debit_minor, credit_minor)
select * from unnest(%b::text[], %b::int4[], %b::text[], %b::text[], %b::numeric[], %b::numeric[])
on conflict (workspace_id, generation, bucket, account) do update
set debit_minor = account.debit_minor + excluded.debit_minor,
    credit_minor = account.credit_minor + excluded.credit_minor

-- name: move_days
insert into projections.movement as movement
    (workspace_id, generation, bucket, account, day, block, debit_minor, credit_minor)
select * from unnest(
    %b::text[], %b::int4[], %b::text[], %b::text[], %b::int4[], %b::int8[], %b::numeric[], %b::numeric[])
on conflict (workspace_id, generation, bucket, account, day, block) do update
set debit_minor = movement.debit_minor + excluded.debit_minor,
    credit_minor = movement.credit_minor + excluded.credit_minor

-- name: read_beginnings
-- The first event of a book states its time zone.
select workspace_id, state from ledger.event where workspace_id = any(%b::text[]) and position = 1
