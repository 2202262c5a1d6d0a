-- A new generation of a projection: filled beside the old one, then shown in its place.

-- name: take_turn
-- A courtesy between two people who rebuild at once; generations have numbers, so nothing depends on it.
select pg_try_advisory_lock(hashtext('route-ledger rebuild'), hashtext(%b::text))

-- name: give_turn_back
-- Before the connection is closed: the server notices that a moment later, and the next one would be refused.
select pg_advisory_unlock(hashtext('route-ledger rebuild'), hashtext(%b::text))

-- name: read_leftovers
select generation from projections.generation where projection = %b and status <> 'active'

-- name: begin_generation
insert into projections.generation (projection, generation, status)
select projection, max(generation) + 1, 'filling'
from projections.generation
where projection = %b
group by projection
returning generation

-- name: create_journal
select projections.create_journal(%b::int4)

-- name: add_journal_key
select projections.add_journal_key(%b, %b::int4)

-- name: attach_journal
select projections.attach_journal(%b::int4)

-- name: detach_journal
select projections.detach_journal(%b::int4)

-- name: drop_journal
select projections.drop_journal(%b::int4)

-- name: create_route_ledger
select projections.create_route_ledger(%b::int4)

-- name: detach_route_ledger
select projections.detach_route_ledger(%b::int4)

-- name: drop_route_ledger
select projections.drop_route_ledger(%b::int4)

-- name: analyze
analyze {table}

-- name: read_books
select workspace_id, position from ledger.book where position > 0

-- name: read_events
-- One book after the other, each by its key: no sort, whatever the size.
select event.workspace_id, event.position, event.stream, event.tag, event.recorded_at, event.state
from unnest(%b::text[]) as book (workspace_id)
cross join lateral (
    select * from ledger.event where event.workspace_id = book.workspace_id order by event.position
) as event

-- name: write_progress
insert into projections.progress (workspace_id, projection, generation, position, failed_position, failure)
select filled.workspace_id, %b, %b::int4, filled.position, filled.failed_position, filled.failure
from unnest(%b::text[], %b::int8[], %b::int8[], %b::text[])
    as filled (workspace_id, position, failed_position, failure)

-- name: begin
begin isolation level read committed

-- name: be_durable
set local synchronous_commit to on

-- name: lock_generations
select generation from projections.generation
where projection = %b and status = 'active'
for update

-- name: end_progress
-- Waits for every follower of the old generation, and ends them: what they moved is not there any more.
delete from projections.progress as old
where old.projection = %b and old.generation = %b
returning old.workspace_id, old.position

-- name: read_progress
select workspace_id, position, failure from projections.progress where projection = %b and generation = %b

-- name: retire
update projections.generation set status = 'retired' where projection = %b and generation = %b

-- name: activate
update projections.generation set status = 'active'
where projection = %b and generation = %b and status = 'filling'
returning generation

-- name: forget_progress
delete from projections.progress where projection = %b and generation = %b

-- name: forget_generation
delete from projections.generation where projection = %b and generation = %b and status <> 'active'

-- name: commit
commit

-- name: rollback
rollback
