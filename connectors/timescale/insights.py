"""The table `insights`: written once, the first one to arrive stands."""

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from connectors.errors import ConnectorError
from connectors.timescale.ledger import Row
from connectors.timescale.queries import query
from schemas.models import Insight

# These stand in the column `detail`, the others in columns of their own.
_DETAIL = ("probable_causes", "recommended_actions", "confidence", "topic", "partition", "first_offset", "last_offset")


def store(connection: "Connection[Row]", insight: Insight) -> Insight:
    """Store an insight and give the one that stands: this one, or the one that was there first with the same id."""
    fields = insight.model_dump()
    detail = {name: fields.pop(name) for name in _DETAIL}
    connection.execute(query("insert_insight"), {**fields, "detail": Jsonb(detail)})
    stands = standing(connection, insight.id)
    if stands is None:
        raise ConnectorError(f"insight {insight.id} was deleted while it was stored")
    return stands


def standing(connection: "Connection[Row]", insight_id: str) -> Insight | None:
    """Give the insight that stands under this id, if there is one."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query("standing_insight"), {"id": insight_id}).fetchone()
    if row is None:
        return None
    detail = row.pop("detail")
    return Insight.model_validate({**row, **detail})
