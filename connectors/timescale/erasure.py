"""All that the database has of a device, taken out; and who had it done, in `audit`."""

from psycopg import Connection

from connectors.timescale import audit
from connectors.timescale.ledger import Row
from connectors.timescale.queries import query

# In this order: nothing is left that points at what is gone.
_STEPS = (
    "erase_batch_items",
    "erase_deliveries",
    "erase_feedback",
    "erase_tasks",
    "erase_insights",
    "erase_readings",
    "erase_device",
)
_COUNTED = {"erase_tasks": "tasks", "erase_insights": "insights", "erase_readings": "readings"}


def erase(connection: "Connection[Row]", device_id: str, who: str) -> dict[str, int]:
    """Delete a device's readings, insights, tasks and its entry, in one transaction; give how many there were.

    What the log still has of it is there until the retention of its topics; it is not stored again, and a replay
    leaves it out. Takes a connection in autocommit mode.
    """
    counts: dict[str, int] = {}
    with connection.transaction():
        for step in _STEPS:
            deleted = connection.execute(query(step), {"device_id": device_id}).rowcount
            if step in _COUNTED:
                counts[_COUNTED[step]] = deleted
        audit.add(connection, who, "erase device", {"device_id": device_id, **counts})
    return counts
