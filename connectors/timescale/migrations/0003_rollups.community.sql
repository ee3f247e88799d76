-- Continuous aggregates (a feature of TimescaleDB's community licence). What is not materialised yet is computed when
-- read (materialized_only = false). When they are refreshed is a setting: see `connectors/timescale/policies`.

create materialized view readings_1m with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket('1 minute', ts) as bucket, device_id, metric,
       count(*) as n, avg(value) as avg, min(value) as min, max(value) as max
from readings group by 1, 2, 3
with no data;

create materialized view readings_1h with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket('1 hour', ts) as bucket, device_id, metric,
       count(*) as n, avg(value) as avg, min(value) as min, max(value) as max
from readings group by 1, 2, 3
with no data;
