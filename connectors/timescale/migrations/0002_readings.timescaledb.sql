-- Readings as a hypertable. The unique index is the only one: the store is idempotent because of it.

create table readings (
    ts        timestamptz not null,
    device_id text not null,
    metric    text not null,
    value     double precision not null,
    accepted  timestamptz not null
) with (
    tsdb.hypertable,
    tsdb.partition_column = 'ts',
    tsdb.chunk_interval = '1 day',
    tsdb.segmentby = 'device_id,metric',
    tsdb.orderby = 'ts desc',
    tsdb.create_default_indexes = false
);
create unique index readings_key on readings (device_id, metric, ts);
