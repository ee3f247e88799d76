-- Where epochs come from. Counted per row they began again at 1 when a topic's marks were forgotten, and a worker from
-- before could be taken for the new owner.

create sequence sink_epochs;
select setval('sink_epochs', (select coalesce(max(epoch), 0) + 1 from sink_offsets), false);
