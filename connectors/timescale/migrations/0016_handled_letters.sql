-- What was done with dead letters. A letter that was written after that has come back.
create table handled_letters (
    id     text primary key,
    action text not null check (action in ('redriven', 'purged')),
    at     timestamptz not null default now()
);
create index handled_letters_by_time on handled_letters (at);
