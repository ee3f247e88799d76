-- What is done once for each period of time, by whichever worker comes first: `connectors/timescale/schedules`.

create table schedules (
    name       text primary key,
    next_start timestamptz not null  -- of the period that is to be done next
);
