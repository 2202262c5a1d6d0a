-- How books are followed: find news, claim, read a page, move on. The rows themselves are the projection's own.

-- name: read_generation
select generation from projections.generation where projection = %b and status = 'active'

-- name: find_news
-- The one question over all books. The longest untouched come first, so that no book starves.
select book.workspace_id, book.position, coalesce(progress.position, 0), progress.workspace_id is null
from ledger.book
left join projections.progress on progress.workspace_id = book.workspace_id
    and progress.projection = %b and progress.generation = %b
where book.position > coalesce(progress.position, 0) and progress.failure is null
order by progress.updated_at nulls first
limit %b

-- name: begin_progress
-- The share lock makes a swap of generations wait, so that no book is missed by it; a retired one gets no rows.
insert into projections.progress (workspace_id, projection, generation)
select new.workspace_id, followed.projection, followed.generation
from unnest(%b::text[]) as new (workspace_id)
cross join (
    select projection, generation
    from projections.generation
    where projection = %b and generation = %b and status <> 'retired'
    for share
) as followed
on conflict (workspace_id, projection, generation) do nothing

-- name: begin
begin isolation level read committed

-- name: claim
-- A book that somebody else has claimed is theirs; one that has been followed meanwhile is no news any more.
select progress.workspace_id, progress.position
from unnest(%b::text[], %b::int8[]) as news (workspace_id, position)
join projections.progress on progress.workspace_id = news.workspace_id
    and progress.projection = %b and progress.generation = %b
where progress.position < news.position and progress.failure is null
order by progress.workspace_id
for update of progress skip locked

-- name: read_pages
select event.workspace_id, event.position, event.stream, event.tag, event.recorded_at, event.state
from unnest(%b::text[], %b::int8[]) as claimed (workspace_id, position)
cross join lateral (
    select *
    from ledger.event
    where event.workspace_id = claimed.workspace_id and event.position > claimed.position
    order by event.position
    limit %b
) as event
order by event.workspace_id, event.position

-- name: move_progress
-- Compare and set: a book that is not where it was claimed fails the transaction, and its rows with it.
with moved as (
    update projections.progress
    set position = followed.position, updated_at = clock_timestamp(),
        failed_position = followed.failed_position, failure = followed.failure
    from unnest(%b::text[], %b::int8[], %b::int8[], %b::int8[], %b::text[])
        as followed (workspace_id, old_position, position, failed_position, failure)
    where progress.workspace_id = followed.workspace_id and progress.projection = %b
        and progress.generation = %b and progress.position = followed.old_position
    returning 1
)
select ledger.require_rows(count(*), %b::int8) from moved

-- name: retry_failed
-- A new process may be new code: what could not be applied before is tried again.
update projections.progress
set failed_position = null, failure = null
where projection = %b and generation = %b and failure is not null

-- name: commit
commit

-- name: rollback
rollback
