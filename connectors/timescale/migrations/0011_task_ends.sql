-- When somebody first worked on a task, and why one has failed: `connectors/timescale/tasks`.

alter table tasks add column started timestamptz;
alter table tasks add column error text;
