"""The table `audit`: who did what that cannot be undone, or that somebody will ask about."""

from collections.abc import Mapping

from psycopg import Connection
from psycopg.types.json import Jsonb

from connectors.timescale.queries import query


def add(connection: "Connection[tuple[object, ...]]", who: str, action: str, detail: Mapping[str, object]) -> None:
    """Write down that somebody does something; part of the transaction that is open, if one is."""
    connection.execute(query("add_audit"), {"who": who, "action": action, "detail": Jsonb(dict(detail))})
