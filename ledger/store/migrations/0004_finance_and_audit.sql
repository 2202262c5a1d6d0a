-- Balances at any moment, checkpoints, and what people did.

-- What people and the program's own administration did: everything that no gateway writes for each call.
create index event_of_people on ledger.event (workspace_id, position)
    where tag not in (
        'request_routed.v1', 'hold_extended.v1', 'attempt_failed.v1', 'fallback_taken.v1', 'tokens_settled.v1',
        'request_released.v1', 'request_voided.v1');

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

grant select on ledger.checkpoint, ledger.checkpoint_head to route_ledger_writer, route_ledger_projector;
grant insert on ledger.checkpoint, ledger.checkpoint_head to route_ledger_writer;

set role route_ledger_projector;

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
create or replace function projections.create_journal(generation integer) returns void language plpgsql as $$
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
create or replace function projections.add_journal_key(part text, generation integer) returns void language plpgsql as $$
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
create or replace function projections.attach_journal(generation integer) returns void language plpgsql as $$
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
create or replace function projections.detach_journal(generation integer) returns setof text language sql as $$
    select format(
        'alter table projections.%I detach partition projections.%I %s',
        part, part || '_' || generation, case when inhdetachpending then 'finalize' else 'concurrently' end)
    from unnest(array['leg', 'entry', 'movement', 'account', 'wallet']) with ordinality as parts (part, number)
    join pg_inherits on inhrelid = to_regclass(format('projections.%I', part || '_' || generation))
    order by number
$$;

create or replace function projections.drop_journal(generation integer) returns void language plpgsql as $$
declare
    part text;
begin
    foreach part in array array['leg', 'entry', 'movement', 'account', 'wallet'] loop
        execute format('drop table if exists projections.%I', part || '_' || generation);
    end loop;
end
$$;

-- The journal begins again: its generations had no movements. Followers fill the new one from the first event on, and
-- until they have come up, what is read of the journal is behind the books.
select projections.drop_journal(generation) from projections.generation where projection = 'journal';
delete from projections.progress where projection = 'journal';
delete from projections.generation where projection = 'journal';

insert into projections.generation (projection, generation, status) values ('journal', 1, 'active');
select projections.create_journal(1);
select projections.add_journal_key(part, 1) from unnest(array['wallet', 'account', 'movement', 'entry', 'leg']) as part;
select projections.attach_journal(1);

grant select on all tables in schema projections to route_ledger_writer;

reset role;
