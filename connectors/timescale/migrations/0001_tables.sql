-- Tables that are the same with and without TimescaleDB.

create table devices (
    device_id  text primary key,
    tenant     text not null default '',
    class      text not null default '',
    units      jsonb not null default '{}',
    tags       jsonb not null default '{}',
    first_seen timestamptz not null,
    last_seen  timestamptz not null
);

create table device_classes (
    class  text primary key,
    -- {"metric": {"min": 0, "max": 100, "unit": "Cel"}}
    limits jsonb not null default '{}'
);

create table insights (
    id                uuid primary key,
    request_id        uuid not null,
    region            text not null,
    tenant            text not null,
    device_id         text not null,
    metric            text not null,
    window_start      timestamptz not null,
    window_end        timestamptz not null,
    kind              text not null,
    severity          text not null,
    summary           text not null,
    source            text not null,
    model             text,
    prompt_hash       text,
    prompt_tokens     bigint not null,
    completion_tokens bigint not null,
    cost_usd          double precision not null,
    latency_s         double precision not null,
    created           timestamptz not null,
    -- causes, actions, confidence, and where the readings stand in the log
    detail            jsonb not null
);
create index insights_by_device on insights (device_id, window_start desc);
create index insights_by_time on insights (created desc, id);

create table tasks (
    id        uuid primary key,
    tenant    text not null default '',
    device_id text not null,
    state     text not null default 'queued'
              check (state in ('queued', 'running', 'retrying', 'succeeded', 'failed', 'cancelled')),
    attempts  integer not null default 0,
    due_at    timestamptz not null default now(),
    request   bytea not null,
    insight   uuid,
    created   timestamptz not null default now(),
    updated   timestamptz not null default now()
);
create index tasks_due on tasks (due_at) where state in ('queued', 'retrying');

-- The two marks of each partition, and who may move them.
create table sink_offsets (
    cluster_id      text not null,
    topic           text not null,
    topic_id        text not null,  -- empty where the broker gives none
    partition       integer not null,
    epoch           bigint not null,
    owner           text not null,
    next_offset     bigint not null,  -- rows of the records below it are stored
    snapshot_offset bigint not null,  -- the detectors have seen the records below it
    -- What became of the records below next_offset: moved with it, so each is counted once.
    stored          bigint not null default 0,
    duplicates      bigint not null default 0,
    conflicts       bigint not null default 0,
    poison          bigint not null default 0,
    updated         timestamptz not null default now(),
    primary key (cluster_id, topic, topic_id, partition)
);

-- Detector state as of sink_offsets.snapshot_offset, cut into blocks so that only what changed is written.
create table detector_snapshots (
    cluster_id text not null,
    topic      text not null,
    topic_id   text not null,
    partition  integer not null,
    block      integer not null,
    detector   text not null,  -- name and version of what wrote the state, which alone can read it
    state      bytea not null,
    primary key (cluster_id, topic, topic_id, partition, block)
);

create table audit (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default now(),
    who     text not null,
    action  text not null,
    detail  jsonb not null default '{}'
);
