-- What a gateway needs beside the books: limits per minute, refused calls, health of routes, kept responses.

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

grant select on ledger.minute_use, ledger.refused_call, ledger.route_health, ledger.provider_health,
    ledger.pinned_response to route_ledger_writer, route_ledger_projector;
grant insert on ledger.minute_use, ledger.refused_call, ledger.route_health, ledger.provider_health,
    ledger.pinned_response to route_ledger_writer;
grant update (minute, requests, tokens) on ledger.minute_use to route_ledger_writer;
grant update (calls) on ledger.refused_call to route_ledger_writer;
grant update (state, reason, open_until, changed_at) on ledger.route_health to route_ledger_writer;
grant update (account_empty_until, changed_at) on ledger.provider_health to route_ledger_writer;
grant update (route, request_id, tokens, pinned_at), delete on ledger.pinned_response to route_ledger_writer;
