-- Who had which records of the log replayed. Records that say that they are copies are believed only if they prove it,
-- with the secret that stands here.
create table replays (
    id      uuid primary key,
    who     text not null,
    source  text not null,
    target  text not null,
    plan    jsonb not null,
    began   timestamptz not null default now(),
    -- Of the last time that somebody wrote it down: a replay that was killed can be gone on with.
    seen    timestamptz not null default now(),
    state   text not null default 'running' check (state in ('running', 'stopped', 'done')),
    copied  bigint not null default 0,
    secret  bytea not null
);
