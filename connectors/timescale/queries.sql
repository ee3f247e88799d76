-- Every statement that is longer than a line, by name (see queries.py).

-- name: claim
-- A new owner raises the epoch; whoever held the partition before is refused from here on. Drawn from a sequence, and
-- under the row's lock, an epoch never comes back, not even for a partition whose marks were forgotten.
insert into sink_offsets (cluster_id, topic, topic_id, partition, epoch, owner, next_offset, snapshot_offset)
values (%(cluster_id)s, %(topic)s, %(topic_id)s, %(partition)s, nextval('sink_epochs'), %(owner)s, %(start)s, %(start)s)
on conflict (cluster_id, topic, topic_id, partition)
do update set epoch = nextval('sink_epochs'), owner = excluded.owner, updated = now()
returning epoch, next_offset, snapshot_offset;

-- name: end_holders
-- Ends the sessions of ours that are in the middle of a transaction for the partition.
select pg_terminate_backend(holder.pid)
from sink_offsets s
join pg_locks l on l.locktype = 'transactionid' and l.transactionid = s.xmax and l.granted
join pg_stat_activity holder on holder.pid = l.pid and holder.usename = current_user
where s.cluster_id = %(cluster_id)s and s.topic = %(topic)s and s.topic_id = %(topic_id)s
  and s.partition = %(partition)s and holder.pid <> pg_backend_pid();

-- name: other_lives
-- Marks of a topic of the same name that is not the one we read: it was deleted and made anew.
select distinct topic_id from sink_offsets
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id <> %(topic_id)s;

-- name: lock
select epoch, next_offset from sink_offsets
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id = %(topic_id)s and partition = %(partition)s
for update;

-- name: advance
update sink_offsets
set next_offset = %(next_offset)s, stored = stored + %(stored)s, duplicates = duplicates + %(duplicates)s,
    conflicts = conflicts + %(conflicts)s, poison = poison + %(poison)s, updated = now()
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id = %(topic_id)s and partition = %(partition)s;

-- name: advance_snapshot
update sink_offsets set snapshot_offset = %(snapshot_offset)s, updated = now()
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id = %(topic_id)s and partition = %(partition)s;

-- name: totals
select coalesce(sum(stored), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,
       coalesce(sum(conflicts), 0)::bigint, coalesce(sum(poison), 0)::bigint
from sink_offsets;

-- name: save_block
insert into detector_snapshots (cluster_id, topic, topic_id, partition, block, detector, state)
values (%(cluster_id)s, %(topic)s, %(topic_id)s, %(partition)s, %(block)s, %(detector)s, %(state)s)
on conflict (cluster_id, topic, topic_id, partition, block)
do update set detector = excluded.detector, state = excluded.state;

-- name: forget_foreign_blocks
delete from detector_snapshots
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id = %(topic_id)s and partition = %(partition)s
  and detector <> %(detector)s;

-- name: restart_detectors
update sink_offsets set epoch = nextval('sink_epochs'), snapshot_offset = next_offset, updated = now()
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id = %(topic_id)s;

-- name: forget_blocks
delete from detector_snapshots
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id = %(topic_id)s;

-- name: load_blocks
select block, state from detector_snapshots
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id = %(topic_id)s and partition = %(partition)s
  and detector = %(detector)s
order by block;

-- name: create_staging
create temporary table if not exists staged (
    ts timestamptz not null, device_id text not null, metric text not null,
    value double precision not null, accepted timestamptz not null
) on commit delete rows;

-- name: insert_new
-- Keys that nobody stored yet. It waits for whoever is storing one of them right now: what it leaves out stands in
-- `readings`, where `losers` sees it.
insert into readings (ts, device_id, metric, value, accepted)
select distinct on (device_id, metric, ts) ts, device_id, metric, value, accepted from staged
order by device_id, metric, ts, accepted {order}, value {order}
on conflict (device_id, metric, ts) do nothing;

-- name: losers
-- All that was said about each key, stored or arriving, ranked by the policy: the first of a key stands; of the others,
-- those that say something else. Without the bounds of ts, which are constants when it is planned, every chunk of the
-- table would be searched for every row.
with arriving as (
    select device_id, metric, ts, value, accepted from staged where ts between %(first)s and %(last)s
),
candidates as (
    select r.device_id, r.metric, r.ts, r.value, r.accepted, true as stored
    from readings r join (select distinct device_id, metric, ts from arriving) a using (device_id, metric, ts)
    where r.ts between %(first)s and %(last)s
    union all
    select device_id, metric, ts, value, accepted, false from arriving
),
ranked as (
    select device_id, metric, ts, value, row_number() over best as place, first_value(value) over best as standing
    from candidates
    window best as (partition by device_id, metric, ts order by accepted {order}, value {order}, stored desc)
)
select device_id, metric, ts, value, standing from ranked where place > 1 and value <> standing;

-- name: merge
insert into readings as r (ts, device_id, metric, value, accepted)
select distinct on (device_id, metric, ts) ts, device_id, metric, value, accepted from staged
order by device_id, metric, ts, accepted {order}, value {order}
on conflict (device_id, metric, ts)
do update set value = excluded.value, accepted = excluded.accepted
where (excluded.accepted, excluded.value) {better} (r.accepted, r.value);

-- name: see_devices
insert into devices (device_id, class, units, tags, first_seen, last_seen)
select device_id, class, units, tags, first_seen, last_seen
from unnest(%(device_id)s::text[], %(class)s::text[], %(units)s::jsonb[], %(tags)s::jsonb[],
            %(first_seen)s::timestamptz[], %(last_seen)s::timestamptz[])
     as seen (device_id, class, units, tags, first_seen, last_seen)
order by device_id
on conflict (device_id) do update
-- What was said last stands, also when something older comes later.
set units = case when excluded.last_seen < devices.last_seen
                 then excluded.units || devices.units else devices.units || excluded.units end,
    tags = case when excluded.last_seen < devices.last_seen
                then excluded.tags || devices.tags else devices.tags || excluded.tags end,
    class = case when devices.class = '' then excluded.class else devices.class end,
    first_seen = least(devices.first_seen, excluded.first_seen),
    last_seen = greatest(devices.last_seen, excluded.last_seen);

-- name: insert_insight
insert into insights (id, request_id, region, tenant, device_id, metric, window_start, window_end, kind, severity,
                      summary, source, model, prompt_hash, prompt_tokens, completion_tokens, cost_usd, latency_s,
                      created, detail)
values (%(id)s, %(request_id)s, %(region)s, %(tenant)s, %(device_id)s, %(metric)s, %(window_start)s, %(window_end)s,
        %(kind)s, %(severity)s, %(summary)s, %(source)s, %(model)s, %(prompt_hash)s, %(prompt_tokens)s,
        %(completion_tokens)s, %(cost_usd)s, %(latency_s)s, %(created)s, %(detail)s)
on conflict (id) do nothing
returning id::text;

-- name: standing_insights
select id::text, request_id::text, region, tenant, device_id, metric, window_start, window_end, kind, severity, summary,
       source, model, prompt_hash, prompt_tokens, completion_tokens, cost_usd, latency_s, created, detail
from insights where id = any(%(ids)s::uuid[]);

-- name: windows_of_readings
-- Windows in buckets: how many readings, their mean, their extremes. (No mean of values beyond 1e100: the squares that
-- the server's avg() sums up would overflow, and the statement fail for all.)
select w.place, b.bucket, b.n, b.avg, b.min, b.max
from unnest(%(device_id)s::text[], %(metric)s::text[], %(start)s::timestamptz[], %(end)s::timestamptz[])
     with ordinality as w (device_id, metric, first, until, place)
cross join lateral (
    select date_bin(%(width)s::interval, r.ts, timestamptz '2000-01-01 00:00:00+00') as bucket, count(*) as n,
           avg(r.value) filter (where abs(r.value) <= 1e100) as avg, min(r.value) as min, max(r.value) as max
    from readings r
    where r.device_id = w.device_id and r.metric = w.metric and r.ts >= w.first and r.ts < w.until
    group by 1
) as b
order by w.place, b.bucket;

-- name: windows_of_rollup
select w.place, b.bucket, b.n, b.avg, b.min, b.max
from unnest(%(device_id)s::text[], %(metric)s::text[], %(start)s::timestamptz[], %(end)s::timestamptz[])
     with ordinality as w (device_id, metric, first, until, place)
cross join lateral (
    select r.bucket, r.n, r.avg, r.min, r.max
    from {view} r
    where r.device_id = w.device_id and r.metric = w.metric and r.bucket >= w.first and r.bucket < w.until
    offset 0  -- window by window: as a join it would read the whole rollup
) as b
order by w.place, b.bucket;

-- name: series_of_devices
-- A page of devices, each with the metrics that it had in a time. They are found by jumping from one to the next in the
-- unique index, whatever number of readings is between.
with recursive page as (
    select device_id from devices
    where device_id > %(after)s and last_seen >= %(seen)s
    order by device_id
    limit %(limit)s
), series as (
    select page.device_id, found.metric
    from page cross join lateral (
        select r.metric from readings r
        where r.device_id = page.device_id and r.ts >= %(start)s and r.ts < %(end)s
        order by r.metric
        limit 1
    ) as found
    union all
    select series.device_id, found.metric
    from series cross join lateral (
        select r.metric from readings r
        where r.device_id = series.device_id and r.metric > series.metric and r.ts >= %(start)s and r.ts < %(end)s
        order by r.metric
        limit 1
    ) as found
)
select page.device_id, coalesce(array_agg(series.metric order by series.metric) filter (where series.metric is not null),
                                '{{}}')
from page left join series using (device_id)
group by page.device_id
order by page.device_id;

-- name: metrics_of_device
with recursive spoken as (
    (select metric from readings where device_id = %(device_id)s order by metric limit 1)
    union all
    select (select r.metric from readings r
            where r.device_id = %(device_id)s and r.metric > spoken.metric
            order by r.metric limit 1)
    from spoken where spoken.metric is not null
)
select metric from spoken where metric is not null limit %(limit)s;

-- name: known_devices
select device_id, tenant, class, units from devices where device_id = any(%(ids)s);

-- name: add_task
-- The worker may have been faster. Kafka has the request, so nobody waits until the row is on the disk: should the
-- database lose it, whoever answers makes it anew. The setting is this transaction's own.
insert into tasks (id, tenant, device_id, request, created, updated)
select %(id)s, %(tenant)s, %(device_id)s, %(request)s, %(at)s, %(at)s
from set_config('synchronous_commit', 'off', true)
on conflict (id) do nothing;

-- name: begin_task
insert into tasks (id, tenant, device_id, request, state, attempts, created, started, updated)
values (%(id)s, %(tenant)s, %(device_id)s, %(request)s, 'running', 1, %(at)s, %(at)s, %(at)s)
on conflict (id) do update
set state = 'running', tenant = excluded.tenant, attempts = tasks.attempts + 1,
    started = coalesce(tasks.started, excluded.started), updated = excluded.updated
where tasks.state in ('queued', 'running', 'retrying');

-- name: postpone_task
insert into tasks (id, tenant, device_id, request, state, attempts, due_at, first_tried, created, updated)
values (%(id)s, %(tenant)s, %(device_id)s, %(request)s, 'retrying', 1, %(due)s, %(since)s, %(at)s, %(at)s)
on conflict (id) do update
set state = 'retrying', due_at = excluded.due_at, first_tried = coalesce(tasks.first_tried, excluded.first_tried),
    updated = excluded.updated
where tasks.state in ('queued', 'running', 'retrying');

-- name: defer_task
-- Nobody has tried it: that it waits is what was wanted.
insert into tasks (id, tenant, device_id, request, state, due_at, created, updated)
values (%(id)s, %(tenant)s, %(device_id)s, %(request)s, 'retrying', %(due)s, %(at)s, %(at)s)
on conflict (id) do update set state = 'retrying', due_at = excluded.due_at, updated = excluded.updated
where tasks.state in ('queued', 'running', 'retrying');

-- name: fail_task
insert into tasks (id, tenant, device_id, request, state, error, created, updated)
values (%(id)s, %(tenant)s, %(device_id)s, %(request)s, 'failed', %(error)s, %(at)s, %(at)s)
on conflict (id) do update set state = 'failed', error = excluded.error, updated = excluded.updated
where tasks.state in ('queued', 'running', 'retrying');

-- name: cancel_task
update tasks set state = 'cancelled', updated = %(at)s
where id = %(id)s and state in ('queued', 'running', 'retrying')
returning id::text;

-- name: put_off_task
-- One that is put off already stays due when it is: a batch may have ended just now.
insert into tasks (id, tenant, device_id, request, state, attempts, due_at, created, updated)
values (%(id)s, %(tenant)s, %(device_id)s, %(request)s, 'retrying', 1, %(due)s, %(at)s, %(at)s)
on conflict (id) do update set state = 'retrying', updated = excluded.updated
where tasks.state in ('queued', 'running', 'retrying');

-- name: finish_task
-- What was put off for a batch goes first, as whoever ends a batch takes them: or the two could wait for each other.
with answered as (delete from batch_items where request_id = %(id)s returning 1)
update tasks set state = 'succeeded', insight = %(insight)s, updated = %(at)s
where (select count(*) from answered) >= 0 and id = %(id)s and state in ('queued', 'running', 'retrying');

-- name: tried_tasks
select id::text, state, attempts, first_tried as since, due_at as due from tasks where id = any(%(ids)s::uuid[]);

-- name: crowded
-- By the index of those that wait, whatever the planner thinks of their number today.
select 1 from tasks
where state in ('queued', 'retrying') and due_at <= %(until)s
  and not exists (select from batch_items where request_id = tasks.id and answer is not null)
order by due_at offset %(before)s limit 1;

-- name: postponed_tasks
select count(*) from tasks
where state = 'retrying' and not exists (select from batch_items where request_id = tasks.id and state <> 'over');

-- name: due_tasks
select id::text, device_id, request from tasks
where state = 'retrying' and due_at <= %(now)s
order by due_at
limit %(limit)s
for update skip locked;

-- name: queue_tasks
update tasks set state = 'queued', updated = %(now)s where id = any(%(ids)s::uuid[]);

-- name: add_batch_item
insert into batch_items (request_id, tenant, request, created) values (%(id)s, %(tenant)s, %(request)s, %(at)s)
on conflict (request_id) do nothing;

-- name: batch_items
select request_id::text, state, request, answer::text, model, prompt_tokens, completion_tokens, usd, created
from batch_items where request_id = any(%(ids)s::uuid[]);

-- name: waiting_batch_items
-- Those whose task waits as well: it is not asked about in another way meanwhile.
select i.request_id::text, i.request
from batch_items i join tasks t on t.id = i.request_id
where i.state = 'waiting' and i.tenant <> all(%(without)s::text[]) and t.state = 'retrying' and t.due_at > %(now)s
  and exists (select from batch_items first where first.state = 'waiting' and first.created <= %(before)s
              and first.tenant <> all(%(without)s::text[]))
order by i.created
limit %(limit)s
for update of i skip locked;

-- name: add_batch_line
insert into batch_lines (batch, line, tenant, windows, held_usd, held_day, scopes)
values (%(batch)s, %(line)s, %(tenant)s, %(windows)s, %(usd)s, %(day)s, %(scopes)s);

-- name: ask_batch_items
with taken as (
    update batch_items i set state = 'asked', batch = %(batch)s, line = w.line, n = w.n
    from unnest(%(ids)s::uuid[], %(lines)s::integer[], %(numbers)s::integer[]) as w (id, line, n)
    where i.request_id = w.id
), theirs as (
    select id from tasks where id = any(%(ids)s::uuid[]) and state = 'retrying' order by id for update
)
update tasks t set due_at = %(due)s, updated = %(now)s from theirs where t.id = theirs.id;

-- name: open_batch
select id::text, endpoint, remote_id, created from batches where id = %(id)s and state = 'open' for update {locked};

-- name: batch_lines
select line, tenant, windows, held_usd, held_day, scopes from batch_lines where batch = %(id)s;

-- name: answer_batch_item
update batch_items
set answer = %(answer)s::jsonb, model = %(model)s, prompt_tokens = %(prompt_tokens)s,
    completion_tokens = %(completion_tokens)s, usd = %(usd)s
where batch = %(batch)s and line = %(line)s and n = %(n)s;

-- name: end_batch_items
with over as (
    update batch_items set state = 'over' where batch = %(batch)s returning request_id
), theirs as (
    select t.id from tasks t join over on t.id = over.request_id where t.state = 'retrying' order by t.id for update of t
)
update tasks t set due_at = %(now)s, updated = %(now)s from theirs where t.id = theirs.id;

-- name: release_batch_items
with over as (
    update batch_items set state = 'over' where state = 'waiting' returning request_id
), theirs as (
    select t.id from tasks t join over on t.id = over.request_id where t.state = 'retrying' order by t.id for update of t
)
update tasks t set due_at = %(now)s, updated = %(now)s from theirs where t.id = theirs.id;

-- name: free_batch_items
update batch_items set state = 'waiting', batch = null, line = null, n = null where batch = %(batch)s;

-- name: find_task
select id::text, tenant, state, attempts, due_at, request, insight::text, error, created, started, updated
from tasks where id = %(id)s;

-- name: due_period
select next_start from schedules
where name = %(name)s and next_start + %(length)s::interval <= %(until)s
for update skip locked;

-- name: open_budgets
insert into budgets (day, scope)
select (now() at time zone 'utc')::date, scope from unnest(%(scopes)s::text[]) as scope
order by scope
on conflict do nothing;

-- name: grant_budget
-- Granted is what is needed, or a hundredth of what is left where that is more: so the next calls need not ask. The rows
-- are locked first, always in the same order, and read as they are then.
with wanted as (
    select scope, most from unnest(%(scopes)s::text[], %(limits)s::numeric[]) as w (scope, most)
), locked as (
    select b.scope, b.granted from budgets b
    where b.day = (now() at time zone 'utc')::date and b.scope = any(%(scopes)s)
    order by b.scope
    for update
), room as (
    select count(*) as scopes, min(w.most - l.granted) as usd from wanted w join locked l using (scope)
), granted as (
    update budgets b set granted = b.granted + greatest(%(need)s::numeric, trunc(room.usd / 100, 9))
    from room
    where b.day = (now() at time zone 'utc')::date and b.scope = any(%(scopes)s)
      and room.scopes = cardinality(%(scopes)s) and room.usd >= %(need)s::numeric
    returning b.scope
)
select (now() at time zone 'utc')::date as day,
       extract(epoch from date_trunc('day', now() at time zone 'utc') + interval '1 day' - (now() at time zone 'utc'))
           ::float8 as seconds_left,
       room.scopes = cardinality(%(scopes)s) as opened,
       case when exists (select from granted) then greatest(%(need)s::numeric, trunc(room.usd / 100, 9)) end as usd
from room;

-- name: give_back_budget
update budgets set granted = granted - %(usd)s::numeric where day = %(day)s and scope = any(%(scopes)s);

-- name: record_spend
insert into spend as s (day, tenant, endpoint, model, calls, prompt_tokens, cached_tokens, completion_tokens, usd,
                        unsettled_usd)
select (now() at time zone 'utc')::date, *
from unnest(%(tenant)s::text[], %(endpoint)s::text[], %(model)s::text[], %(calls)s::bigint[],
            %(prompt_tokens)s::bigint[], %(cached_tokens)s::bigint[], %(completion_tokens)s::bigint[],
            %(usd)s::numeric[], %(unsettled_usd)s::numeric[]) as spent (tenant, endpoint, model, calls, prompt_tokens,
            cached_tokens, completion_tokens, usd, unsettled_usd)
order by spent.tenant, spent.endpoint, spent.model
on conflict (day, tenant, endpoint, model) do update
set calls = s.calls + excluded.calls,
    prompt_tokens = s.prompt_tokens + excluded.prompt_tokens,
    cached_tokens = s.cached_tokens + excluded.cached_tokens,
    completion_tokens = s.completion_tokens + excluded.completion_tokens,
    usd = s.usd + excluded.usd,
    unsettled_usd = s.unsettled_usd + excluded.unsettled_usd;

-- name: spent_today
select tenant, endpoint, model, calls, prompt_tokens, cached_tokens, completion_tokens, usd, unsettled_usd
from spend where day = (now() at time zone 'utc')::date
order by usd + unsettled_usd desc, tenant, endpoint, model;

-- name: granted_today
select scope, granted from budgets where day = (now() at time zone 'utc')::date order by scope <> 'total', scope;

-- name: list_devices
select device_id, class, units, tags, first_seen, last_seen
from devices where device_id > %(after)s and (%(tenant)s::text is null or tenant = %(tenant)s)
  and starts_with(device_id, %(prefix)s)
order by device_id
limit %(limit)s;

-- name: readings_of_metric
select ts, metric, value
from readings where device_id = %(device_id)s and metric = %(metric)s and ts >= %(start)s and ts < %(end)s
order by ts desc
limit %(limit)s;

-- name: reading_beyond
-- Whether there are more than so many: counted where they stand, for fetching them only to count costs more than all else.
select 1 as one
from readings where device_id = %(device_id)s and metric = %(metric)s and ts >= %(start)s and ts < %(end)s
order by ts desc
offset %(most)s limit 1;

-- name: points_of_rollup
-- From whole buckets; of the newest ones, as many as wanted.
select bucket as ts, avg as mean, min as low, max as high, n
from {view}
where device_id = %(device_id)s and metric = %(metric)s and bucket >= %(start)s and bucket < %(end)s
order by bucket desc
limit %(limit)s;

-- name: last_reading
select ts from readings where device_id = %(device_id)s and metric = %(metric)s order by ts desc limit 1;

-- name: readings_of_device
-- The metrics are found by jumping from one to the next in the unique index, and each gives its own newest readings
-- from that index: nothing reads more of the device than the page can show.
with recursive spoken as (
    (select metric from readings where device_id = %(device_id)s order by metric limit 1)
    union all
    select (select r.metric from readings r
            where r.device_id = %(device_id)s and r.metric > spoken.metric
            order by r.metric limit 1)
    from spoken where spoken.metric is not null
)
select newest.ts, spoken.metric, newest.value
from spoken cross join lateral (
    select r.ts, r.value from readings r
    where r.device_id = %(device_id)s and r.metric = spoken.metric and r.ts >= %(start)s and r.ts < %(end)s
    order by r.ts desc
    limit %(limit)s
) as newest
order by newest.ts desc, spoken.metric
limit %(limit)s;

-- name: list_insights
select id::text, request_id::text, region, tenant, device_id, metric, window_start, window_end, kind, severity, summary,
       source, model, prompt_hash, prompt_tokens, completion_tokens, cost_usd, latency_s, created, detail
from insights
where created <= %(created)s and (created < %(created)s or id > %(id)s) {filters}
order by created desc, id
limit %(limit)s;

-- name: columnstore_job
select 1 from timescaledb_information.jobs
where proc_name = 'policy_compression' and hypertable_name = 'readings'
  and (config ->> 'compress_after')::interval = make_interval(days => %(days)s);

-- name: retention_job
select 1 from timescaledb_information.jobs
where proc_name = 'policy_retention' and hypertable_name = 'readings'
  and (config ->> 'drop_after')::interval = make_interval(days => %(days)s);

-- name: refresh_job
select 1 from timescaledb_information.jobs
where proc_name = 'policy_refresh_continuous_aggregate'
  and hypertable_name in (  -- the name of the view or, in earlier versions, of what is behind it
      select unnest(array[view_name, materialization_hypertable_name])
      from timescaledb_information.continuous_aggregates where view_name = %(view)s)
  and (config ->> 'start_offset')::interval is not distinct from %(start)s::interval
  and (config ->> 'end_offset')::interval = %(end)s::interval
  and (config ->> 'buckets_per_batch')::integer = %(batch)s
  and schedule_interval = %(every)s::interval;

-- name: add_refresh_job
select add_continuous_aggregate_policy(
    %(view)s::text::regclass, start_offset => %(start)s::interval, end_offset => %(end)s::interval,
    schedule_interval => %(every)s::interval, buckets_per_batch => %(batch)s
);

-- name: chunk_interval
select 1 from timescaledb_information.dimensions
where hypertable_name = 'readings' and time_interval = %(interval)s;

-- name: add_cache_order
insert into cache_orders (tenant, digest, value, said_by)
values (%(tenant)s, %(digest)s, %(value)s::jsonb, %(said_by)s)
returning id, at;

-- name: add_feedback
insert into feedback (insight, who, verdict, note) values (%(insight)s, %(who)s, %(verdict)s, %(note)s);

-- name: cache_orders
-- Ids are given before they can be seen, so what was said just before the last look is looked at again.
select id, at, tenant, digest, value::text as value
from cache_orders
where at > coalesce(%(since)s::timestamptz - interval '10 minutes', now() - %(kept)s::interval)
order by id;

-- name: insights_by_source
select source, count(*) as insights, coalesce(sum(cost_usd), 0)::float8 as usd
from insights
where created > now() - interval '1 day'
group by source
order by source;

-- name: insight_of_cache
select id::text, request_id::text, tenant, device_id, metric, source, model, prompt_hash, created
from insights
where id = any(%(ids)s::uuid[]);

-- name: alike_questions
select tenant, gate, digest, text, form, embedder, vector, data,
       extract(epoch from made)::float8 as made, extract(epoch from expires)::float8 as expires
from semantic_cache
where gate = %(gate)s and expires > now()
order by made desc
limit %(most)s;

-- name: question_of
select tenant, gate, digest, text, form, embedder, vector, data,
       extract(epoch from made)::float8 as made, extract(epoch from expires)::float8 as expires
from semantic_cache
where tenant = %(tenant)s and digest = %(digest)s and expires > now()
limit 1;

-- name: near_questions
select text, form, gate, 1 - (vector::vector({dimensions}) <=> %(vector)s::vector({dimensions})) as similarity
from semantic_cache
where tenant = %(tenant)s and embedder = %(embedder)s and array_length(vector, 1) = {dimensions} and expires > now()
  and (gate, digest) <> (%(gate)s, %(digest)s)
order by vector::vector({dimensions}) <=> %(vector)s::vector({dimensions})
limit %(most)s;

-- name: near_questions_index
create index if not exists semantic_cache_near_{dimensions} on semantic_cache
using hnsw ((vector::vector({dimensions})) vector_cosine_ops) where array_length(vector, 1) = {dimensions};

-- name: add_question
insert into semantic_cache (gate, digest, tenant, text, form, embedder, vector, data, made, expires)
values (%(gate)s, %(digest)s, %(tenant)s, %(text)s, %(form)s, %(embedder)s, %(vector)s, %(data)s,
        to_timestamp(%(made)s), to_timestamp(%(expires)s))
on conflict (gate, digest) do update
set data = excluded.data, made = excluded.made, expires = excluded.expires
where semantic_cache.made < excluded.made;

-- name: forget_questions
delete from semantic_cache where expires < now();

-- name: count_questions
select count(*) as questions from semantic_cache where expires > now();

-- name: add_verdicts
insert into semantic_verdicts (at, worker, form, other, correct, served)
select to_timestamp(at), worker, form, other, correct, served
from unnest(%(at)s::float8[], %(worker)s::text[], %(form)s::text[], %(other)s::text[],
            %(correct)s::boolean[], %(served)s::boolean[])
     as said (at, worker, form, other, correct, served);

-- name: verdicts
select id, extract(epoch from at)::float8 as at, worker, form, other, correct, served
from semantic_verdicts
where id >= %(since)s and at > now() - interval '90 days'
order by id
limit 10000;

-- name: forget_verdicts
delete from semantic_verdicts where at < now() - interval '90 days';

-- name: add_key
insert into api_keys (id, tenant, name, scopes, hash, per_minute, created, expires)
values (%(id)s, %(tenant)s, %(name)s, %(scopes)s, %(hash)s, %(per_minute)s, %(created)s, %(expires)s);

-- name: adopt_key
-- From another region. A key that is there stays what it is; only that it was revoked anywhere counts everywhere.
insert into api_keys as k (id, tenant, name, scopes, hash, per_minute, created, expires, revoked)
values (%(id)s, %(tenant)s, %(name)s, %(scopes)s, %(hash)s, %(per_minute)s, %(created)s, %(expires)s, %(revoked)s)
on conflict (id) do update set revoked = least(k.revoked, excluded.revoked)
where excluded.revoked is not null and k.hash = excluded.hash;

-- name: adopt_devices
-- From another region. Whoever has an owner here keeps it.
insert into devices as d (device_id, tenant, first_seen, last_seen)
select device_id, tenant, %(at)s, %(at)s
from unnest(%(device_id)s::text[], %(tenant)s::text[]) as owned (device_id, tenant)
order by device_id
on conflict (device_id) do update set tenant = excluded.tenant where d.tenant = '';

-- name: find_key
select id, tenant, name, scopes, hash, per_minute, created, expires, revoked from api_keys where id = %(id)s;

-- name: list_keys
select id, tenant, name, scopes, hash, per_minute, created, expires, revoked from api_keys order by created desc, id;

-- name: revoke_key
update api_keys set revoked = coalesce(revoked, %(at)s) where id = %(id)s returning id;

-- name: owners
select device_id, tenant from devices where device_id = any(%(ids)s);

-- name: owned_devices
select tenant, device_id from devices where tenant <> '' order by tenant collate "C", device_id collate "C";

-- name: give_devices
with given as (
    insert into devices (device_id, tenant, first_seen, last_seen)
    select device_id, %(tenant)s, %(at)s, %(at)s from unnest(%(ids)s::text[]) as d (device_id)
    order by device_id
    on conflict (device_id) do update set tenant = excluded.tenant
    returning device_id
)
insert into audit (who, action, detail)
select %(who)s, 'keys own', jsonb_build_object('tenant', %(tenant)s::text, 'devices', jsonb_agg(device_id)) from given;

-- name: claim_devices
insert into devices (device_id, tenant, first_seen, last_seen)
select id, %(tenant)s, %(at)s, %(at)s from unnest(%(ids)s::text[]) as id
on conflict (device_id) do nothing;

-- name: add_delivery
insert into webhook_deliveries (hook, id, device_id, body, due, created, updated)
values (%(hook)s, %(id)s, %(device_id)s, %(body)s, %(created)s, %(created)s, %(created)s)
on conflict do nothing;

-- name: take_deliveries
update webhook_deliveries as d
set attempts = d.attempts + 1, due = %(until)s
from (
    select hook, id from webhook_deliveries
    where hook = %(hook)s and state = 'waiting' and due <= %(now)s
    order by due
    limit %(limit)s
    for update skip locked
) as mine
where d.hook = mine.hook and d.id = mine.id
returning d.id::text, d.device_id, d.body, d.attempts;

-- name: settle_deliveries
update webhook_deliveries as d
set state = f.state, due = f.due, error = f.error, updated = %(now)s
from unnest(%(ids)s::uuid[], %(states)s::text[], %(dues)s::timestamptz[], %(errors)s::text[])
     as f (id, state, due, error)
where d.hook = %(hook)s and d.id = f.id and d.state = 'waiting';

-- name: forget_deliveries
delete from webhook_deliveries where state <> 'waiting' and updated < %(before)s;

-- name: count_deliveries
select hook, state, count(*) as messages, min(created) as oldest,
       (array_agg(error order by updated desc) filter (where error is not null))[1] as error
from webhook_deliveries
group by hook, state
order by hook, state;

-- name: revive_deliveries
with revived as (
    update webhook_deliveries set state = 'waiting', attempts = 0, due = %(now)s, updated = %(now)s
    where state = 'dead' and (%(hook)s::text is null or hook = %(hook)s)
    returning hook
), told as (
    insert into audit (who, action, detail)
    select %(who)s, 'webhooks retry', jsonb_build_object('hook', %(hook)s::text, 'messages', count(*)) from revived
)
select count(*) as revived from revived;

-- name: erase_deliveries
delete from webhook_deliveries where device_id = %(device_id)s;

-- name: erase_batch_items
delete from batch_items where request_id in (select id from tasks where device_id = %(device_id)s);

-- name: erase_feedback
delete from feedback where insight in (select id from insights where device_id = %(device_id)s);

-- name: erase_tasks
delete from tasks where device_id = %(device_id)s;

-- name: erase_insights
delete from insights where device_id = %(device_id)s;

-- name: erase_readings
delete from readings where device_id = %(device_id)s;

-- name: erase_device
delete from devices where device_id = %(device_id)s;

-- name: add_audit
insert into audit (who, action, detail) values (%(who)s, %(action)s, %(detail)s);

-- name: begin_replay
insert into replays (id, who, source, target, plan, secret)
values (%(id)s, %(who)s, %(source)s, %(target)s, %(plan)s, %(secret)s)
on conflict (id) do update set state = 'running', seen = now()
returning secret;

-- name: progress_replay
update replays set copied = greatest(copied, %(copied)s), state = %(state)s, seen = now() where id = %(id)s;

-- name: known_replays
select id::text, secret from replays where id = any(%(ids)s::uuid[]);

-- name: erased_devices
select detail ->> 'device_id', max(at) from audit where action = 'erase device' group by 1;

-- name: standing_rows
-- What is stored under keys, beside the place that each has among them; the bounds are for the planner, as in `losers`.
select asked.place, r.value, (extract(epoch from r.accepted) * 1000000)::bigint
from unnest(%(device_id)s::text[], %(metric)s::text[], %(ts)s::bigint[])
     with ordinality as asked (device_id, metric, ts, place)
join readings r on r.device_id = asked.device_id and r.metric = asked.metric
  and r.ts = timestamptz 'epoch' + asked.ts * interval '1 microsecond'
where r.ts between %(first)s and %(last)s;

-- name: failed_jobs
select j.proc_name, j.hypertable_name, s.last_run_status
from timescaledb_information.job_stats s join timescaledb_information.jobs j using (job_id)
where s.last_run_status = 'Failed' and j.job_id >= 1000
order by 1, 2;

-- name: oldest_transaction
-- A session that has been idle in a transaction, or at one statement, for ten minutes or more.
select pid, extract(epoch from now() - xact_start)::bigint, application_name
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
  and xact_start < now() - interval '10 minutes'
order by xact_start limit 1;

-- name: marks_of_topic
select partition, next_offset from sink_offsets
where cluster_id = %(cluster_id)s and topic = %(topic)s and topic_id = %(topic_id)s;

-- name: insights_of_log
-- Insights about alarms that readings between these offsets have raised.
select i.id::text, i.device_id, i.metric, i.kind, i.window_start, i.window_end
from insights i
join unnest(%(partition)s::integer[], %(first)s::bigint[], %(end)s::bigint[]) as span (partition, first, "end")
  on (i.detail ->> 'partition')::integer = span.partition
  and (i.detail ->> 'last_offset')::bigint >= span.first and (i.detail ->> 'last_offset')::bigint < span."end"
where i.created >= %(since)s and i.detail ->> 'topic' = %(topic)s
order by i.window_start, i.id;

-- name: waiting_requests
select id::text from tasks where id = any(%(ids)s::uuid[]) and insight is null;

-- name: mark_letters
insert into handled_letters (id, action, partition, until)
select id, %(action)s, partition, until
from unnest(%(ids)s::text[], %(partitions)s::integer[], %(untils)s::bigint[]) as letter (id, partition, until)
on conflict (id) do update
set action = excluded.action, at = excluded.at, partition = excluded.partition, until = excluded.until;

-- name: handled_letters
select id, action, at, partition, until from handled_letters where id = any(%(ids)s);

-- name: forget_letters
delete from handled_letters where at < now() - %(kept)s::interval;

-- name: revive_delivery
update webhook_deliveries set state = 'waiting', attempts = 0, due = now(), updated = now()
where hook = %(hook)s and id = %(id)s and state = 'dead';

-- name: poison_alarms
-- Where a worker has stopped because too much was poison, and nobody has gone on since: the last time at each place.
select distinct on (topic, partition) audit.at, audit.who, topic, partition, (audit.detail ->> 'offset')::bigint,
       (audit.detail ->> 'refused')::bigint, (audit.detail ->> 'records')::bigint, audit.detail -> 'reasons'
from audit
join sink_offsets marks on marks.topic = audit.detail ->> 'topic'
  and marks.partition = (audit.detail ->> 'partition')::integer
  and marks.next_offset <= (audit.detail ->> 'offset')::bigint
where audit.action = 'poison limit' and audit.at > now() - interval '7 days'
order by topic, partition, audit.at desc;

-- name: earlier_readings
-- Of each series the newest readings before an instant, packed: eight bytes of microseconds, eight of the value.
select asked.place,
       string_agg(int8send((extract(epoch from found.ts) * 1000000)::bigint) || float8send(found.value), ''::bytea
                  order by found.ts)
from unnest(%(device_id)s::text[], %(metric)s::text[], %(ts)s::timestamptz[], %(accepted)s::timestamptz[])
     with ordinality as asked (device_id, metric, ts, accepted, place)
cross join lateral (
    select ts, value from readings
    where device_id = asked.device_id and metric = asked.metric
      and ts < asked.ts and ts >= asked.ts - make_interval(days => %(days)s) and accepted < asked.accepted
    order by ts desc
    limit %(readings)s
) as found
group by asked.place;

-- name: spoke_since
select asked.place
from unnest(%(device_id)s::text[], %(metric)s::text[], %(ts)s::timestamptz[], %(accepted)s::timestamptz[])
     with ordinality as asked (device_id, metric, ts, accepted, place)
where exists (
    select from readings
    where device_id = asked.device_id and metric = asked.metric
      and ts > asked.ts and accepted <= asked.accepted
);

-- name: checksums
-- Of each {cut}, how many rows there are, and the exclusive or of their hashes: the same whatever order they came in.
-- Texts and numbers are hashed in the form in which PostgreSQL sends them, which every version and machine shares.
select {columns}, count(*) as rows,
       bit_xor(('x' || left(md5(convert_to(device_id || chr(1) || metric, 'UTF8') || timestamptz_send(ts)
                                || float8send(value) || timestamptz_send(accepted)), 16))::bit(64)::bigint) as checksum
from readings
where ts >= %(since)s and ts < %(until)s and accepted < %(accepted)s
group by {columns};
