-- What happens once per database, and once per start.

-- name: one_at_a_time
-- Two servers that start at once wait for each other here. Nothing else ever relies on this lock.
select pg_advisory_xact_lock(7236825123)

-- name: schema_exists
select to_regclass('ledger.migration') is not null

-- name: read_migrations
select migration from ledger.migration order by migration

-- name: note_migration
insert into ledger.migration (migration, name) values (%(migration)s, %(name)s)

-- name: insert_installation
insert into ledger.installation (installation, purpose, hash_key) values (1, %(purpose)s, %(hash_key)s)
on conflict (installation) do nothing

-- name: read_purpose
select purpose from ledger.installation

-- name: insert_platform_book
insert into ledger.book (workspace_id, digest) values ('platform', %(digest)s)
on conflict (workspace_id) do nothing
