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

-- Questions that were answered: `connectors/timescale/questions`.
create table semantic_cache (
    gate     text not null,  -- of all that has to be equal
    digest   text not null,  -- the key of the question's own answer
    tenant   text not null,
    text     text not null,
    form     text not null,
    embedder text not null,
    vector   real[] not null,
    data     bytea not null,
    made     timestamptz not null,
    expires  timestamptz not null,
    primary key (gate, digest)
);
create index semantic_cache_expires on semantic_cache (expires);

-- Whether the answers to questions of one form were right for those of another.
create table semantic_verdicts (
    id      bigint generated always as identity primary key,
    at      timestamptz not null,
    worker  text not null,
    form    text not null,
    other   text not null,
    correct boolean not null,
    served  boolean not null  -- or would have been
);
create index semantic_verdicts_at on semantic_verdicts (at);
