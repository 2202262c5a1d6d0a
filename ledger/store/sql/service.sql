-- What the service asks outside of batches: installation, reads of the live state, names of people.

-- name: read_hash_key
select hash_key from ledger.installation

-- name: read_stream_after
select position, state
from ledger.event
where workspace_id = %(workspace_id)s and stream = %(stream)s and version > %(version)s
order by version

-- name: read_live_wallets
select book.position, wallet.bucket, wallet.unit, wallet.scale, wallet.posted_minor, wallet.held_minor,
    wallet.credit_limit_minor, wallet.frozen, wallet.version
from ledger.book
left join ledger.wallet on wallet.workspace_id = book.workspace_id
where book.workspace_id = %(workspace_id)s
order by wallet.bucket

-- name: put_display_name
insert into ledger.display_name (workspace_id, kind, name, display_name)
values (%(workspace_id)s, %(kind)s, %(name)s, %(display_name)s)
on conflict (workspace_id, kind, name) do update set display_name = excluded.display_name

-- name: erase_display_name
delete from ledger.display_name
where workspace_id = %(workspace_id)s and kind = %(kind)s and name = %(name)s

-- name: read_display_names
select kind, name, display_name
from ledger.display_name
where workspace_id = %(workspace_id)s

-- name: ping
select 1
