"""The table `tasks`: what people asked, and how far their questions have come; as the agent that answers writes it."""

from datetime import datetime

from psycopg import Connection

from connectors.timescale.ledger import Row
from connectors.timescale.queries import query
from schemas.codec import encode
from schemas.models import AnalysisRequest


def begin(connection: "Connection[Row]", request: AnalysisRequest, at: datetime) -> None:
    """Say that somebody works on it. A task that nobody handed in (the gateway died, say) is made."""
    connection.execute(query("begin_task"), row(request, at))


def finish(connection: "Connection[Row]", request_id: str, insight_id: str, at: datetime) -> None:
    """Say that it has been answered; what has ended already stays as it ended."""
    connection.execute(query("finish_task"), {"id": request_id, "insight": insight_id, "at": at})


def row(request: AnalysisRequest, at: datetime) -> dict[str, object]:
    """Give what stands in the table of a request."""
    return {
        "id": request.id,
        "tenant": request.tenant,
        "device_id": request.device_id,
        "request": encode(request),
        "at": at,
    }
