-- What webhooks are told, and how far it has come: `connectors/timescale/deliveries`.

create table webhook_deliveries (
    hook      text not null,
    id        uuid not null,  -- of the insight
    device_id text not null,
    body      text not null,
    state     text not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
    attempts  int not null default 0,
    due       timestamptz not null,  -- when the next attempt may begin
    created   timestamptz not null,
    updated   timestamptz not null,
    error     text,  -- what became of the last attempt
    primary key (hook, id)
);
create index webhook_deliveries_due on webhook_deliveries (hook, due) where state = 'waiting';
create index webhook_deliveries_of_device on webhook_deliveries (device_id);
