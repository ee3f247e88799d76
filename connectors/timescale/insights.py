"""The table `insights`: written once, the first one to arrive stands."""

from collections.abc import Callable, Sequence

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from connectors.errors import ConnectorError
from connectors.timescale import deliveries
from connectors.timescale.deliveries import Delivery
from connectors.timescale.ledger import Row
from connectors.timescale.queries import query
from schemas.models import Insight

# These stand in the column `detail`, the others in columns of their own.
_DETAIL = ("probable_causes", "recommended_actions", "confidence", "topic", "partition", "first_offset", "last_offset")


Announce = Callable[[Insight], Sequence[Delivery]]


def nobody(_: Insight) -> Sequence[Delivery]:
    """Tell nobody."""
    return ()


def store(
    connection: "Connection[Row]", insights: Sequence[Insight], announce: Announce = nobody
) -> dict[str, Insight]:
    """Store insights and give those that stand, by id: these, or the ones that were there first with the same id.

    `announce` says who is to be told of one that is new; that is stored with it.
    """
    with connection.transaction(), connection.cursor() as cursor:
        # In the order of their ids, or two workers that store the same ones could wait for each other.
        ordered = sorted(insights, key=lambda insight: insight.id)
        cursor.executemany(query("insert_insight"), [_row(insight) for insight in ordered], returning=True)
        told: list[Delivery] = []
        for insight in ordered:
            told += announce(insight) if cursor.rowcount else ()
            cursor.nextset()
        deliveries.add(cursor, told)
    stand = standing(connection, [insight.id for insight in insights])
    for insight in insights:
        if insight.id not in stand:
            raise ConnectorError(f"insight {insight.id} was deleted while it was stored")
    return stand


def standing(connection: "Connection[Row]", insight_ids: Sequence[str]) -> dict[str, Insight]:
    """Give the insights that stand under these ids, those that there are."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("standing_insights"), {"ids": list(insight_ids)}).fetchall()
    found = [Insight.model_validate(row.pop("detail") | row) for row in rows]
    return {insight.id: insight for insight in found}


def _row(insight: Insight) -> dict[str, object]:
    fields = insight.model_dump()
    detail = {name: fields.pop(name) for name in _DETAIL}
    return {**fields, "detail": Jsonb(detail)}
