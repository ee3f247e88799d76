-- Who may use the API: `connectors/timescale/keys`.

create table api_keys (
    id         text primary key,
    tenant     text not null,
    name       text not null,
    scopes     text[] not null,
    hash       bytea not null,  -- of the secret, which nobody has but its owner
    per_minute integer check (per_minute > 0),  -- requests; null: as many as come
    created    timestamptz not null default now(),
    expires    timestamptz,
    revoked    timestamptz
);
