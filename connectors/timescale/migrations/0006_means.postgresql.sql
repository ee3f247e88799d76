-- The same, in views that are computed when read.

create or replace view readings_1m as
select date_bin('1 minute', ts, timestamptz '2000-01-01 00:00:00+00') as bucket, device_id, metric, count(*) as n,
       avg(value) filter (where abs(value) <= 1e100) as avg, min(value) as min, max(value) as max
from readings group by 1, 2, 3;

create or replace view readings_1h as
select date_bin('1 hour', ts, timestamptz '2000-01-01 00:00:00+00') as bucket, device_id, metric, count(*) as n,
       avg(value) filter (where abs(value) <= 1e100) as avg, min(value) as min, max(value) as max
from readings group by 1, 2, 3;
