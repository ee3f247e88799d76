-- Since when a request is tried that no model had time for: `connectors/timescale/tasks`.

alter table tasks add column first_tried timestamptz;  -- null: it never had to be postponed
