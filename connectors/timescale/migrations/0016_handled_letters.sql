-- What was done with dead letters. One that stands in the log at `until` or later, in that partition of its topic, was
-- written after that: it has come back. (Clocks of several machines could not tell.)
create table handled_letters (
    id        text primary key,
    action    text not null check (action in ('redriven', 'purged')),
    at        timestamptz not null default now(),
    partition integer not null,
    until     bigint not null
);
create index handled_letters_by_time on handled_letters (at);
