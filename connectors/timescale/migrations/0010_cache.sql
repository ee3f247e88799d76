-- What people said of kept answers: `connectors/timescale/orders`.

create table cache_orders (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default clock_timestamp(),
    tenant  text,  -- null: of all
    digest  text,  -- of one answer; null: of all
    value   jsonb,  -- what it should be; null: it is purged
    said_by text not null,
    check (digest is null or tenant is not null),
    check (value is null or digest is not null)
);
create index cache_orders_at on cache_orders (at);
