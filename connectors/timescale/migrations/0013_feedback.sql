-- What people said of insights: `connectors/timescale/orders`.

create table feedback (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default clock_timestamp(),
    insight uuid not null,
    who     text not null,
    verdict text not null check (verdict in ('right', 'wrong')),
    note    text not null default ''
);
create index feedback_of_insight on feedback (insight);
