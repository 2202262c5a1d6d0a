-- Route Ledger: the whole database on one page.
--
-- `ledger` is the write side: events, and the little state that the next decision needs, kept in the same
-- transaction. `projections` is the read side: everything in it can be dropped and rebuilt from `ledger.event`.
-- Money is a count of a unit's smallest parts (bigint). Instants are microseconds since 1970, UTC (bigint).
-- `workspace_id` leads every key, so that the same schema can be spread over many machines by workspace.

create schema ledger;
create schema projections;

-- Roles -----------------------------------------------------------------------------------------------------
-- The server applies this file as the owner and then works as one of two lesser roles. They belong to the whole
-- database cluster, so they may exist already.

do $$
begin
    if not exists (select from pg_roles where rolname = 'route_ledger_writer') then
        create role route_ledger_writer nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'route_ledger_projector') then
        create role route_ledger_projector nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;

-- An administrator may have granted them already, to an owner who may not do it.
do $$
begin
    if not (pg_has_role('route_ledger_writer', 'set') and pg_has_role('route_ledger_projector', 'set')) then
        grant route_ledger_writer, route_ledger_projector to current_user;
    end if;
end
$$;

grant usage on schema ledger to route_ledger_writer, route_ledger_projector;

-- The database itself ---------------------------------------------------------------------------------------

-- Which migrations this database has. A new database has them all.
create table ledger.migration (
    migration  integer     not null primary key,
    name       text        not null,
    applied_at timestamptz not null default clock_timestamp()
);

-- One row: what this database is for (a demo is never served as production), and the key under which secrets
-- and end users are hashed before they reach a book.
create table ledger.installation (
    installation integer not null primary key check (installation = 1),
    purpose      text    not null check (purpose in ('production', 'demo')),
    hash_key     bytea   not null check (length(hash_key) = 32)
);

-- The book of record ----------------------------------------------------------------------------------------

-- One row per book, locked by every batch that writes to it: the lock is what puts events in one order.
-- `digest` is the head of the hash chain; the versions are those of the two streams that are cached in memory.
create table ledger.book (
    workspace_id      text collate "C" not null primary key check (workspace_id ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    position          bigint  not null default 0 check (position >= 0),
    digest            bytea   not null check (length(digest) = 32),
    recorded_at       bigint  not null default 0,
    workspace_version integer not null default 0,
    catalog_version   integer not null default 0
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- The events. `state` holds the very bytes that `digest` was made of; nothing here is ever changed.
create table ledger.event (
    workspace_id text collate "C" not null,
    position     bigint  not null check (position > 0),
    stream       text collate "C" not null check (length(stream) between 1 and 200),
    version      integer not null check (version > 0),
    tag          text collate "C" not null,
    command_id   text collate "C" not null check (length(command_id) between 1 and 400),
    recorded_at  bigint  not null,
    state        bytea   not null,
    digest       bytea   not null check (length(digest) = 32),
    constraint event_pk primary key (workspace_id, position),
    constraint event_stream_version_key unique (workspace_id, stream, version),
    constraint event_command_id_key unique (workspace_id, command_id)
) with (autovacuum_vacuum_insert_scale_factor = 0.4);

-- What people and the program's own administration did: everything that no gateway writes for each call.
create index event_of_people on ledger.event (workspace_id, position)
    where tag not in (
        'request_routed.v1', 'hold_extended.v1', 'attempt_failed.v1', 'fallback_taken.v1', 'tokens_settled.v1',
        'request_released.v1', 'request_voided.v1');

-- Append-only is a rule of the database, not a promise of the program.
create function ledger.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are never changed or removed' using errcode = 'restrict_violation';
end
$$;

create trigger event_is_append_only before update or delete or truncate on ledger.event
    for each statement execute function ledger.refuse_change();

-- Positions are gapless: every insert continues a book that exists, where it ended.
create function ledger.require_gapless() returns trigger language plpgsql as $$
declare
    broken record;
begin
    select run.workspace_id, run.first into broken
    from (
        select inserted.workspace_id, min(inserted.position) as first, max(inserted.position) as last, count(*) as events
        from inserted group by inserted.workspace_id
    ) as run
    where run.last - run.first + 1 <> run.events
        or not exists (select from ledger.book where book.workspace_id = run.workspace_id)
        or run.first <> 1 + coalesce((
            select event.position from ledger.event
            where event.workspace_id = run.workspace_id and event.position < run.first
            order by event.position desc limit 1), 0)
    limit 1;
    if found then
        raise exception 'book % would have a gap before position %', broken.workspace_id, broken.first
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;

create trigger event_is_gapless after insert on ledger.event
    referencing new table as inserted
    for each statement execute function ledger.require_gapless();

-- What the next decision needs -------------------------------------------------------------------------------

-- Available is posted − held + credit limit. The program never lets a hold, capture or exchange take it below
-- zero; finance may (a chargeback), and then nothing new is held. Bucket, unit and scale never change.
create table ledger.wallet (
    workspace_id       text collate "C" not null,
    bucket             text collate "C" not null,
    unit               text    not null check (unit ~ '^[A-Z]{2,24}$'),
    scale              integer not null check (scale between 0 and 9),
    posted_minor       bigint  not null,
    held_minor         bigint  not null check (held_minor >= 0),
    credit_limit_minor bigint  not null check (credit_limit_minor >= 0),
    frozen             boolean not null,
    version            integer not null check (version > 0),
    constraint wallet_pk primary key (workspace_id, bucket)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- One row per open request. `state` is all that its next command needs, folded from its events.
create table ledger.hold (
    workspace_id text collate "C" not null,
    request_id   text collate "C" not null,
    bucket       text collate "C" not null,
    held_minor   bigint not null check (held_minor >= 0),
    expires_at   bigint not null,
    budgets      text[] not null,
    state        bytea  not null,
    constraint hold_pk primary key (workspace_id, request_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

create index hold_expiry on ledger.hold (expires_at);

-- What counts against one spend limit of a key or project in one day or month.
create table ledger.budget (
    workspace_id  text collate "C" not null,
    budget        text collate "C" not null,
    held_minor    bigint not null check (held_minor >= 0),
    charged_minor bigint not null,
    constraint budget_pk primary key (workspace_id, budget)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Names of people and things, outside the chain so that they can be erased.
create table ledger.display_name (
    workspace_id text collate "C" not null,
    kind         text collate "C" not null check (kind in ('workspace', 'project', 'api_key')),
    name         text collate "C" not null,
    display_name text not null check (length(display_name) between 1 and 200),
    constraint display_name_pk primary key (workspace_id, kind, name)
);

-- How far an application that follows a book through the `eventsourcing` library has come. Followers of this
-- project keep theirs in projections.progress, in the transaction that writes their rows.
create table ledger.tracking (
    workspace_id     text collate "C" not null,
    application_name text collate "C" not null check (length(application_name) between 1 and 200),
    notification_id  bigint not null check (notification_id >= 0),
    constraint tracking_pk primary key (workspace_id, application_name)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- What a gateway needs beside the books ----------------------------------------------------------------------

-- What a key that has limits per minute used in its latest minute (minutes since 1970, UTC). Written with the
-- events under the book's lock, so that the limits hold over all processes.
create table ledger.minute_use (
    workspace_id text collate "C" not null,
    api_key_id   text collate "C" not null,
    minute       bigint not null,
    requests     bigint not null,
    tokens       bigint not null,
    constraint minute_use_pk primary key (workspace_id, api_key_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- How many calls were refused before they became a request: by key, hour (its first microsecond), model, reason.
create table ledger.refused_call (
    workspace_id text collate "C" not null,
    api_key_id   text collate "C" not null,
    hour         bigint not null,
    model        text collate "C" not null,
    reason       text collate "C" not null,
    calls        bigint not null check (calls > 0),
    constraint refused_call_pk primary key (workspace_id, hour, api_key_id, model, reason)
) with (fillfactor = 80);

-- What the gateways know of routes and of our accounts at providers: the latest report counts. A few rows for the
-- whole database. Instants in microseconds since 1970.
create table ledger.route_health (
    route      text collate "C" not null,
    state      text   not null check (state in ('closed', 'open')),
    reason     text   not null check (length(reason) <= 200),
    open_until bigint not null,
    changed_at bigint not null,
    constraint route_health_pk primary key (route)
);

create table ledger.provider_health (
    provider            text collate "C" not null,
    account_empty_until bigint,
    changed_at          bigint not null,
    constraint provider_health_pk primary key (provider)
);

-- Which route answered, so that what continues a stored response goes there too, and how many tokens that will read
-- again. Kept for thirty days.
create table ledger.pinned_response (
    workspace_id text collate "C" not null,
    response_id  text collate "C" not null,
    route        text collate "C" not null,
    request_id   text collate "C" not null,
    tokens       bigint not null default 0,
    pinned_at    timestamptz not null default clock_timestamp(),
    constraint pinned_response_pk primary key (workspace_id, response_id)
);

create index pinned_response_age on ledger.pinned_response (pinned_at);

-- Checkpoints ------------------------------------------------------------------------------------------------

-- A signed note over the heads of all books, and the Merkle tree that its root is of. A few rows a day for the whole
-- database. It proves nothing here: somebody outside has to keep the note.
create table ledger.checkpoint (
    checkpoint bigint  not null primary key check (checkpoint > 0),
    made_at    bigint  not null,
    key_id     text collate "C" not null,
    root       bytea   not null check (length(root) = 32),
    books      bigint  not null check (books > 0),
    events     numeric(38) not null,
    note       text    not null
);

-- Where each book's chain ended, in the first checkpoint that found it there.
create table ledger.checkpoint_head (
    workspace_id text collate "C" not null,
    checkpoint   bigint not null,
    position     bigint not null check (position > 0),
    digest       bytea  not null check (length(digest) = 32),
    constraint checkpoint_head_pk primary key (workspace_id, checkpoint)
);

create trigger checkpoint_is_append_only before update or delete or truncate on ledger.checkpoint
    for each statement execute function ledger.refuse_change();
create trigger checkpoint_head_is_append_only before update or delete or truncate on ledger.checkpoint_head
    for each statement execute function ledger.refuse_change();

-- The writer -------------------------------------------------------------------------------------------------

-- A batch found its book moved, or moved twice: it is rolled back and decided again.
create function ledger.require_rows(moved bigint, expected bigint) returns void language plpgsql as $$
begin
    if moved is distinct from expected then
        raise exception 'a book has moved: % of % rows', moved, expected using errcode = 'serialization_failure';
    end if;
end
$$;

-- What the writer may do: append events, move its own state, and nothing else.
grant select on all tables in schema ledger to route_ledger_writer, route_ledger_projector;
grant insert on ledger.checkpoint, ledger.checkpoint_head to route_ledger_writer;
grant insert on ledger.event, ledger.book, ledger.wallet, ledger.hold, ledger.budget to route_ledger_writer;
grant update (position, digest, recorded_at, workspace_version, catalog_version) on ledger.book to route_ledger_writer;
grant update (posted_minor, held_minor, credit_limit_minor, frozen, version) on ledger.wallet to route_ledger_writer;
grant update (held_minor, expires_at, state) on ledger.hold to route_ledger_writer;
grant delete on ledger.hold to route_ledger_writer;
grant update (held_minor, charged_minor) on ledger.budget to route_ledger_writer;
grant insert, update, delete on ledger.display_name to route_ledger_writer;
grant insert, update (notification_id) on ledger.tracking to route_ledger_writer;
grant insert on ledger.minute_use, ledger.refused_call, ledger.route_health, ledger.provider_health,
    ledger.pinned_response to route_ledger_writer;
grant update (minute, requests, tokens) on ledger.minute_use to route_ledger_writer;
grant update (calls) on ledger.refused_call to route_ledger_writer;
grant update (state, reason, open_until, changed_at) on ledger.route_health to route_ledger_writer;
grant update (account_empty_until, changed_at) on ledger.provider_health to route_ledger_writer;
grant update (route, request_id, tokens, pinned_at), delete on ledger.pinned_response to route_ledger_writer;
revoke select on ledger.installation from route_ledger_projector;

-- The read side ----------------------------------------------------------------------------------------------

grant create, usage on schema projections to route_ledger_projector;
grant usage on schema projections to route_ledger_writer;

-- All of it belongs to the projector, who reads the books and can change nothing in them. No foreign key leads
-- to the write side, so that either side can be moved, and this one dropped, without the other.
set role route_ledger_projector;

-- A projection is rebuilt by filling a new generation of its tables beside the one that is read. A few rows for
-- the whole database, the same for every workspace.
create table projections.generation (
    projection text collate "C" not null,
    generation integer not null check (generation > 0),
    status     text    not null check (status in ('filling', 'active', 'retired')),
    started_at timestamptz not null default clock_timestamp(),
    constraint generation_pk primary key (projection, generation)
);

create unique index generation_active on projections.generation (projection) where status = 'active';

-- How far each book has been followed. A follower claims rows here, and moves them from the position it read to
-- the one it reached in the transaction that writes the rows: that makes it exactly once. An event that cannot
-- be applied stops its own book here, with the reason.
create table projections.progress (
    workspace_id    text collate "C" not null,
    projection      text collate "C" not null,
    generation      integer not null,
    position        bigint  not null default 0 check (position >= 0),
    updated_at      timestamptz not null default clock_timestamp(),
    failed_position bigint,
    failure         text,
    constraint progress_pk primary key (workspace_id, projection, generation),
    constraint failure_names_its_event check ((failure is null) = (failed_position is null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- The journal. Five tables, each a partition per generation. A generation is made by create_journal, filled
-- while it has no keys, then given its keys by add_journal_key and shown by attach_journal; detach_journal and
-- drop_journal remove it. Its foreign keys lie between partitions of the same generation: on the parents they would make
-- every dropped generation search all others.

-- What a wallet's amounts are counted in, and the credit limit that its statement needs.
create table projections.wallet (
    workspace_id       text collate "C" not null,
    generation         integer not null,
    bucket             text collate "C" not null,
    unit               text    not null,
    scale              integer not null,
    credit_limit_minor bigint  not null,
    constraint wallet_pk primary key (workspace_id, generation, bucket)
) partition by list (generation);

-- One row per account that ever moved. Turnovers only grow, and one leg may be 10^17: numeric, not bigint.
create table projections.account (
    workspace_id text collate "C" not null,
    generation   integer not null,
    bucket       text collate "C" not null,
    account      text collate "C" not null,
    debit_minor  numeric(38) not null check (debit_minor >= 0),
    credit_minor numeric(38) not null check (credit_minor >= 0),
    constraint account_pk primary key (workspace_id, generation, bucket, account)
) partition by list (generation);

-- At most one entry per event and bucket. The three balances are the wallet's own after the entry, so that any
-- page of a statement can be read alone; they are the customer's view and name no counter-account.
create table projections.entry (
    workspace_id    text collate "C" not null,
    generation      integer not null,
    bucket          text collate "C" not null,
    position        bigint  not null,
    tag             text collate "C" not null,
    request_id      text collate "C",
    effective_at    bigint  not null,
    recorded_at     bigint  not null,
    posted_minor    bigint  not null,
    held_minor      bigint  not null,
    available_minor bigint  not null,
    constraint entry_pk primary key (workspace_id, generation, bucket, position)
) partition by list (generation);

-- A leg moves a positive amount from its credit account to its debit account. It has one bucket, and both
-- foreign keys go through it: the database refuses a leg between accounts of two buckets.
create table projections.leg (
    workspace_id   text collate "C" not null,
    generation     integer  not null,
    bucket         text collate "C" not null,
    position       bigint   not null,
    leg            smallint not null,
    debit_account  text collate "C" not null,
    credit_account text collate "C" not null,
    minor          bigint   not null check (minor > 0),
    constraint leg_pk primary key (workspace_id, generation, bucket, position, leg),
    constraint leg_moves_between_two check (debit_account <> credit_account)
) partition by list (generation);

-- What went through each account on each day, in the workspace's own time zone (days since 1970-01-01), by the time at
-- which things happened, apart for each block of 16,384 positions: the balances at any moment are sums of whole blocks
-- and days, and of a few entries besides.
create table projections.movement (
    workspace_id text collate "C" not null,
    generation   integer not null,
    bucket       text collate "C" not null,
    account      text collate "C" not null,
    day          integer not null,
    block        bigint  not null,
    debit_minor  numeric(38) not null check (debit_minor >= 0),
    credit_minor numeric(38) not null check (credit_minor >= 0),
    constraint movement_pk primary key (workspace_id, generation, bucket, account, day, block)
) partition by list (generation);

-- A generation's tables: no keys yet, so that they can be filled by COPY as fast as the disk takes it. The check
-- of the generation spares `attach partition` a look at every row.
create function projections.create_journal(generation integer) returns void language plpgsql as $$
declare
    part text;
begin
    foreach part in array array['wallet', 'account', 'movement', 'entry', 'leg'] loop
        execute format(
            'create table projections.%I (like projections.%I including constraints, check (generation = %s)) with (fillfactor = %s)',
            part || '_' || generation, part, generation,
            case when part in ('wallet', 'account') then 50 when part = 'movement' then 90 else 100 end);
        execute format('grant select on projections.%I to route_ledger_writer', part || '_' || generation);
    end loop;
end
$$;

-- The key of one table. Apart, so that two connections can build the two large ones at once.
create function projections.add_journal_key(part text, generation integer) returns void language plpgsql as $$
begin
    execute format(
        'alter table projections.%I add constraint %I primary key (%s)',
        part || '_' || generation, part || '_' || generation || '_pk',
        case part
            when 'wallet' then 'workspace_id, generation, bucket'
            when 'account' then 'workspace_id, generation, bucket, account'
            when 'movement' then 'workspace_id, generation, bucket, account, day, block'
            when 'entry' then 'workspace_id, generation, bucket, position'
            when 'leg' then 'workspace_id, generation, bucket, position, leg'
        end);
end
$$;

-- The foreign keys between the tables of a generation, checked for every row, and its place among the others.
create function projections.attach_journal(generation integer) returns void language plpgsql as $$
declare
    part text;
begin
    execute format(
        'alter table projections.%I add constraint account_has_wallet
            foreign key (workspace_id, generation, bucket) references projections.%I',
        'account_' || generation, 'wallet_' || generation);
    execute format(
        'alter table projections.%I add constraint movement_is_of_an_account
            foreign key (workspace_id, generation, bucket, account) references projections.%I',
        'movement_' || generation, 'account_' || generation);
    execute format(
        'alter table projections.%1$I
            add constraint leg_debits_an_account_of_its_bucket
                foreign key (workspace_id, generation, bucket, debit_account) references projections.%2$I,
            add constraint leg_credits_an_account_of_its_bucket
                foreign key (workspace_id, generation, bucket, credit_account) references projections.%2$I',
        'leg_' || generation, 'account_' || generation);
    foreach part in array array['wallet', 'account', 'movement', 'entry', 'leg'] loop
        execute format(
            'alter table projections.%I attach partition projections.%I for values in (%s)',
            part, part || '_' || generation, generation);
    end loop;
end
$$;

-- The statements that take a generation out of what is read, one by one and each outside a transaction:
-- `concurrently` waits for readers without ever making one wait, and `finalize` ends what was broken off.
create function projections.detach_journal(generation integer) returns setof text language sql as $$
    select format(
        'alter table projections.%I detach partition projections.%I %s',
        part, part || '_' || generation, case when inhdetachpending then 'finalize' else 'concurrently' end)
    from unnest(array['leg', 'entry', 'movement', 'account', 'wallet']) with ordinality as parts (part, number)
    join pg_inherits on inhrelid = to_regclass(format('projections.%I', part || '_' || generation))
    order by number
$$;

create function projections.drop_journal(generation integer) returns void language plpgsql as $$
declare
    part text;
begin
    foreach part in array array['leg', 'entry', 'movement', 'account', 'wallet'] loop
        execute format('drop table if exists projections.%I', part || '_' || generation);
    end loop;
end
$$;

insert into projections.generation (projection, generation, status) values ('journal', 1, 'active');
select projections.create_journal(1);
select projections.add_journal_key(part, 1) from unnest(array['wallet', 'account', 'movement', 'entry', 'leg']) as part;
select projections.attach_journal(1);

-- The route ledger. Four tables, each a partition per generation, made with its keys by create_route_ledger: its rows
-- change while requests run, so that there is no filling without keys.

-- One row per request that was ever routed. Money of the customer in the bucket's unit: `charge` is what is owed as it
-- stands after corrections, charge = paid + overrun, `refunded` was given back of what was paid; `listed` is what the
-- lines came to of a charge that has list prices at all. `cost` is what the provider bills for the attempt that served,
-- in its own unit. `detail` holds what is listed: charge lines, failed attempts, moves, amendments, entries.
create table projections.request (
    workspace_id    text collate "C" not null,
    generation      integer not null,
    request_id      text collate "C" not null,
    position        bigint  not null,
    last_position   bigint  not null,
    status          text    not null check (status in ('open', 'settled', 'failed', 'cancelled', 'expired')),
    began_at        bigint  not null,
    changed_at      bigint  not null,
    ended_at        bigint,
    expires_at      bigint  not null,
    project_id      text collate "C" not null,
    api_key_id      text collate "C" not null,
    end_user        text collate "C",
    workflow        text collate "C",
    run             text collate "C",
    step            text collate "C",
    model           text collate "C" not null,
    route           text collate "C" not null,
    tier            text collate "C" not null,
    provider        text collate "C" not null,
    upstream_model  text collate "C" not null,
    reported_model  text collate "C",
    bucket          text collate "C" not null,
    unit            text    not null,
    rule            text    not null,
    first_route     text collate "C" not null,
    first_bucket    text collate "C" not null,
    first_rate_card text collate "C",
    rate_card       text collate "C",
    priced_by       text    not null,
    attempts        integer not null,
    retries         integer not null,
    fallbacks       integer not null,
    went_wrong      boolean not null,
    input_tokens    bigint,
    output_tokens   bigint,
    usage_source    text,
    policy          text,
    held_minor      bigint  not null,
    charge_minor    bigint,
    paid_minor      bigint,
    refunded_minor  bigint  not null,
    list_minor      bigint,
    listed_minor    bigint,
    waived_minor    bigint,
    overrun_minor   bigint,
    latency_ms      bigint,
    first_token_ms  bigint,
    cost_minor      bigint,
    cost_unit       text,
    unpriced        boolean not null,
    model_mismatch  boolean not null,
    trace_id        text,
    detail          json    not null,
    constraint request_pk primary key (workspace_id, generation, request_id)
) partition by list (generation);

-- Pages are in the order of time, the latest first. Nothing that changes when a request is settled is in an index, so
-- that its row is changed in place. The time of all is a sum, so that no page of one workspace is planned to walk it.
create index request_by_time on projections.request (workspace_id, began_at, request_id);
create index request_by_time_of_all on projections.request ((began_at + 0), workspace_id, request_id);
create index request_by_key on projections.request (workspace_id, api_key_id, began_at, request_id);
create index request_by_run on projections.request (workspace_id, run, began_at, request_id) where run is not null;
create index request_by_end_user on projections.request (workspace_id, end_user, began_at, request_id)
    where end_user is not null;
create index request_that_went_wrong on projections.request (workspace_id, began_at, request_id) where went_wrong;

-- What spend is told apart by: one row per combination that occurred in a workspace, named by a digest of it. Names
-- of combinations that an explanation does not tell apart begin with the same nine bytes.
-- `first_*` is where a request was routed to before any fallback; `cost_unit` is the unit of the provider's bill.
create table projections.spend_cell (
    workspace_id    text collate "C" not null,
    generation      integer not null,
    cell            uuid    not null,
    bucket          text collate "C" not null,
    project_id      text collate "C" not null,
    api_key_id      text collate "C" not null,
    workflow        text collate "C",
    run             text collate "C",
    model           text collate "C" not null,
    route           text collate "C" not null,
    tier            text collate "C" not null,
    provider        text collate "C" not null,
    reported_model  text collate "C",
    rate_card       text collate "C",
    first_route     text collate "C" not null,
    first_bucket    text collate "C" not null,
    first_rate_card text collate "C",
    cost_unit       text collate "C",
    constraint spend_cell_pk primary key (workspace_id, generation, cell)
) partition by list (generation);

-- Counts and amounts of a cell in a quarter of an hour (its first microsecond): the days of every time zone begin with
-- one. A request counts when it ends, a failed attempt, a refund and a correction when they happen.
create table projections.spend (
    workspace_id     text collate "C" not null,
    generation       integer not null,
    quarter          bigint  not null,
    cell             uuid    not null,
    requests         bigint  not null,
    settled          bigint  not null,
    failed           bigint  not null,
    cancelled        bigint  not null,
    expired          bigint  not null,
    estimated        bigint  not null,
    unpriced         bigint  not null,
    retries          bigint  not null,
    fallbacks        bigint  not null,
    failed_attempts  bigint  not null,
    input_tokens     bigint  not null,
    output_tokens    bigint  not null,
    without_cost     bigint  not null,
    waste_unknown    bigint  not null,
    charge_minor     numeric(38) not null,
    listed_minor     numeric(38) not null,
    list_minor       numeric(38) not null,
    waived_minor     numeric(38) not null,
    overrun_minor    numeric(38) not null,
    refunded_minor   numeric(38) not null,
    corrected_minor  numeric(38) not null,
    undone_minor     numeric(38) not null,
    cost_minor       numeric(38) not null,
    waste_minor      numeric(38) not null,
    constraint spend_pk primary key (workspace_id, generation, quarter, cell)
) partition by list (generation);

create index spend_by_quarter on projections.spend (quarter);

-- Tokens by part and rate, with what they were charged after rounding; the rate is empty where there was none.
create table projections.spend_line (
    workspace_id text collate "C" not null,
    generation   integer not null,
    quarter      bigint  not null,
    cell         uuid    not null,
    part         text collate "C" not null,
    rate         text collate "C" not null,
    tokens       bigint  not null,
    rated_minor  numeric(38) not null,
    constraint spend_line_pk primary key (workspace_id, generation, quarter, cell, part, rate)
) partition by list (generation);

create index spend_line_by_quarter on projections.spend_line (quarter);

-- A generation's tables with all keys, shown to those who ask for that generation.
create function projections.create_route_ledger(generation integer) returns void language plpgsql as $$
declare
    part text;
begin
    foreach part in array array['request', 'spend_cell', 'spend', 'spend_line'] loop
        execute format(
            'create table projections.%I (like projections.%I including constraints, check (generation = %s)) with (fillfactor = %s)',
            part || '_' || generation, part, generation, case part when 'spend_cell' then 100 else 70 end);
        execute format(
            'alter table projections.%I attach partition projections.%I for values in (%s)',
            part, part || '_' || generation, generation);
        execute format('grant select on projections.%I to route_ledger_writer', part || '_' || generation);
    end loop;
end
$$;

-- As for the journal: each statement is run outside a transaction.
create function projections.detach_route_ledger(generation integer) returns setof text language sql as $$
    select format(
        'alter table projections.%I detach partition projections.%I %s',
        part, part || '_' || generation, case when inhdetachpending then 'finalize' else 'concurrently' end)
    from unnest(array['spend_line', 'spend', 'spend_cell', 'request']) with ordinality as parts (part, number)
    join pg_inherits on inhrelid = to_regclass(format('projections.%I', part || '_' || generation))
    order by number
$$;

create function projections.drop_route_ledger(generation integer) returns void language plpgsql as $$
declare
    part text;
begin
    foreach part in array array['spend_line', 'spend', 'spend_cell', 'request'] loop
        execute format('drop table if exists projections.%I', part || '_' || generation);
    end loop;
end
$$;

insert into projections.generation (projection, generation, status) values ('route_ledger', 1, 'active');
select projections.create_route_ledger(1);

-- Whoever answers over HTTP may read it all.
grant select on all tables in schema projections to route_ledger_writer;

reset role;
