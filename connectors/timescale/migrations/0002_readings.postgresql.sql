-- Readings in native range partitions of a day, made ahead by `connectors/timescale/partitions`; what fits none of them
-- (readings of long ago) goes to the default partition. The unique index makes the store idempotent.

create table readings (
    ts        timestamptz not null,
    device_id text not null,
    metric    text not null,
    value     double precision not null,
    accepted  timestamptz not null
) partition by range (ts);
create unique index readings_key on readings (device_id, metric, ts);
create table readings_default partition of readings default;
