-- Checkpoints: the heads of all books in one snapshot, and the signed notes over them.

-- name: begin
begin isolation level repeatable read

-- name: commit
commit

-- name: rollback
rollback

-- name: read_clock
-- A note that somebody keeps must be found here again: whatever the default is, this commit waits for the disk.
select (extract(epoch from clock_timestamp()) * 1000000)::int8, set_config('synchronous_commit', 'on', true)

-- name: read_first_digest
select digest from ledger.event where workspace_id = 'platform' and position = 1

-- name: read_signing_keys
select state
from ledger.event
where workspace_id = 'platform' and stream = 'workspace' and tag = 'signing_key_published.v1'
order by version

-- name: read_moves
-- Where each book ends, where the newest checkpoint that has it found its end, and what stands there now.
select book.workspace_id, book.position, head.digest, signed.checkpoint, signed.position, signed.digest, there.digest
from ledger.book
left join ledger.event as head on head.workspace_id = book.workspace_id and head.position = book.position
left join lateral (
    select checkpoint, position, digest
    from ledger.checkpoint_head
    where checkpoint_head.workspace_id = book.workspace_id
    order by checkpoint desc
    limit 1
) as signed on true
left join ledger.event as there on there.workspace_id = book.workspace_id and there.position = signed.position
where book.position > 0
order by book.workspace_id

-- name: insert_checkpoint
insert into ledger.checkpoint (checkpoint, made_at, key_id, root, books, events, note)
values (%(checkpoint)s, %(made_at)s, %(key_id)s, %(root)s, %(books)s, %(events)s, %(note)s)

-- name: insert_heads
insert into ledger.checkpoint_head (workspace_id, checkpoint, position, digest)
select workspace_id, %(checkpoint)s::int8, position, digest
from unnest(%(workspaces)s::text[], %(positions)s::int8[], %(digests)s::bytea[])
    as moved (workspace_id, position, digest)

-- name: read_checkpoint
select checkpoint, made_at, key_id, root, books, events, note
from ledger.checkpoint
where checkpoint = %(checkpoint)s

-- name: read_newest_checkpoint
select checkpoint, made_at, key_id, root, books, events, note
from ledger.checkpoint
order by checkpoint desc
limit 1

-- name: read_heads
-- A book that did not move stands in the checkpoint before, or in one before that.
select book.workspace_id, head.position, head.digest
from ledger.book
cross join lateral (
    select position, digest
    from ledger.checkpoint_head
    where checkpoint_head.workspace_id = book.workspace_id and checkpoint_head.checkpoint <= %(checkpoint)s
    order by checkpoint desc
    limit 1
) as head
order by book.workspace_id

-- name: read_digests
-- What stands now where a checkpoint found the ends of books, and where those books end now.
select signed.workspace_id, book.position, event.digest
from unnest(%(workspaces)s::text[], %(positions)s::int8[]) as signed (workspace_id, position)
left join ledger.book on book.workspace_id = signed.workspace_id
left join ledger.event on event.workspace_id = signed.workspace_id and event.position = signed.position
