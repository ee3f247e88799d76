-- The server's avg() sums up squares. Of values beyond some 1e154 they overflow, and the statement fails: one device with
-- such values kept the aggregates of all from being refreshed. So there is no mean of values beyond 1e100.

drop materialized view readings_1m;
drop materialized view readings_1h;

create materialized view readings_1m with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket('1 minute', ts) as bucket, device_id, metric, count(*) as n,
       avg(value) filter (where abs(value) <= 1e100) as avg, min(value) as min, max(value) as max
from readings group by 1, 2, 3
with no data;

create materialized view readings_1h with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket('1 hour', ts) as bucket, device_id, metric, count(*) as n,
       avg(value) filter (where abs(value) <= 1e100) as avg, min(value) as min, max(value) as max
from readings group by 1, 2, 3
with no data;
