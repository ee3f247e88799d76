"""The table `replays`: who had which records replayed, and how far it has come. Each start and end is in `audit`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.types.json import Jsonb

from connectors.timescale import audit
from connectors.timescale.ledger import Row
from connectors.timescale.queries import query


@dataclass(frozen=True, slots=True)
class Begun:
    """A replay as it begins, or goes on."""

    id: str
    who: str
    source: str
    target: str
    plan: Mapping[str, object]


def begin(connection: "Connection[Row]", replay: Begun, secret: bytes) -> bytes:
    """Write down that a replay begins or goes on, before its first record is written; give its secret.

    That is `secret`, or the one with which it began.
    """
    values = {
        "id": replay.id,
        "who": replay.who,
        "source": replay.source,
        "target": replay.target,
        "plan": Jsonb(dict(replay.plan)),
        "secret": secret,
    }
    detail = {"replay": replay.id, "source": replay.source, "target": replay.target, **replay.plan}
    with connection.transaction():
        row = connection.execute(query("begin_replay"), values).fetchone()
        audit.add(connection, replay.who, "replay", detail)
    return secret if row is None or not isinstance(row[0], bytes) else row[0]


def progress(connection: "Connection[Row]", replay_id: str, copied: int) -> None:
    """Write down how many records were copied by now."""
    connection.execute(query("progress_replay"), {"id": replay_id, "copied": copied, "state": "running"})


def end(connection: "Connection[Row]", replay_id: str, copied: int, *, done: bool, who: str) -> None:
    """Write down that a replay is done, or was stopped."""
    state = "done" if done else "stopped"
    with connection.transaction():
        connection.execute(query("progress_replay"), {"id": replay_id, "copied": copied, "state": state})
        audit.add(connection, who, f"replay {state}", {"replay": replay_id, "copied": copied})


def known(connection: "Connection[Row]", replay_ids: Iterable[str]) -> dict[str, bytes]:
    """Give the secrets of those of these replays that there are."""
    rows = connection.execute(query("known_replays"), {"ids": list(replay_ids)}).fetchall()
    return {str(replay): secret for replay, secret in rows if isinstance(secret, bytes)}


def erased(connection: "Connection[Row]") -> dict[str, datetime]:
    """Give the devices whose data were erased, and when they were last."""
    rows = connection.execute(query("erased_devices")).fetchall()
    return {str(device): when for device, when in rows if isinstance(when, datetime)}
