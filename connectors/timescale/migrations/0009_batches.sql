-- Summaries that are asked about in batches, at half the price: `connectors/timescale/batches`.

create table batches (
    id        uuid primary key,  -- also by which it is known at the endpoint
    endpoint  text not null,
    remote_id text,  -- null: nobody wrote down yet that the endpoint has it
    state     text not null default 'open'
              check (state in ('open', 'completed', 'failed', 'expired', 'cancelled', 'refused', 'freed', 'lost')),
    created   timestamptz not null,
    ended     timestamptz
);
create index batches_open on batches (created) where state = 'open';

-- One question to the model each, about windows of one tenant, and what is set aside for it.
create table batch_lines (
    batch    uuid not null references batches on delete cascade,
    line     integer not null,
    tenant   text not null,
    windows  integer not null,
    held_usd numeric not null,
    held_day date,  -- of the budgets it was taken from, if it was
    scopes   text[] not null,
    primary key (batch, line)
);

-- A summary beside its row in `tasks`, from when it is put off for a batch until its insight stands.
create table batch_items (
    request_id        uuid primary key,
    tenant            text not null,
    request           bytea not null,  -- with the window that was looked up: what is asked about
    state             text not null default 'waiting' check (state in ('waiting', 'asked', 'over')),
    batch             uuid references batches on delete set null,
    line              integer,
    n                 integer,  -- the window's number in its line
    answer            jsonb,  -- null when it is over: there is none that can be used
    model             text,
    prompt_tokens     bigint not null default 0,
    completion_tokens bigint not null default 0,
    usd               numeric not null default 0,
    created           timestamptz not null
);
create index batch_items_waiting on batch_items (created) where state = 'waiting';
create index batch_items_of_batch on batch_items (batch, line, n) where batch is not null;
