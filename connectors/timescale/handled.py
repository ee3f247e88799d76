"""The table `handled_letters`: which dead letters were redriven or purged, and how far the log went then."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from psycopg import Connection
from psycopg.rows import class_row

from connectors.timescale.ledger import Row
from connectors.timescale.queries import query

Action = Literal["redriven", "purged"]


class Doing(NamedTuple):
    """A letter with which something is done, its partition, and where the log of that ended before."""

    id: str
    partition: int
    until: int


class Handled(NamedTuple):
    """What was done with a letter."""

    id: str
    action: Action
    at: datetime
    partition: int
    until: int


def mark(connection: "Connection[Row]", letters: Sequence[Doing], action: Action, kept: timedelta) -> None:
    """Write down what is done with letters; forget what was done with those that the log keeps no longer."""
    ordered = sorted(letters)  # or two who do the same could wait for each other
    values = {
        "ids": [letter.id for letter in ordered],
        "partitions": [letter.partition for letter in ordered],
        "untils": [letter.until for letter in ordered],
        "action": action,
    }
    with connection.transaction():
        connection.execute(query("mark_letters"), values)
        connection.execute(query("forget_letters"), {"kept": kept})


def handled(connection: "Connection[Row]", letter_ids: Sequence[str]) -> dict[str, Handled]:
    """Give what was done with these letters, those with which anything was."""
    with connection.cursor(row_factory=class_row(Handled)) as cursor:
        rows = cursor.execute(query("handled_letters"), {"ids": list(letter_ids)}).fetchall()
    return {row.id: row for row in rows}


def revive(connection: "Connection[Row]", hook: str, message_id: str) -> bool:
    """Have a message delivered after all that a webhook has not taken; say whether there is one."""
    values = {"hook": hook, "id": message_id}
    return connection.execute(query("revive_delivery"), values).rowcount > 0
