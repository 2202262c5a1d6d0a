-- The route ledger: a row for each request, and what was spent by quarter of an hour.

set role route_ledger_projector;

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

grant select on all tables in schema projections to route_ledger_writer;

reset role;
