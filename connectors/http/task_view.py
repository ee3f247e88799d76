"""A task as people see it. Pure."""

import json
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.http.parts import Task
from schemas.instants import to_text
from schemas.models import Insight

# As the table has them.
WAITING: Final = "retrying"
OPEN: Final = frozenset({"queued", "running", WAITING})
ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})


def state_of(task: Task) -> str:
    """Give the state; what waits for its time to come was never tried, and is queued."""
    return "queued" if task.state == WAITING and not task.attempts else task.state


def told(task: Task) -> dict[str, object]:
    """Say all of a task; `due` is there while it waits, `not_before` and `expires` where they were set."""
    request, insight = task.request, task.insight
    times = {
        "due": task.due if task.state == WAITING else None,
        "not_before": request.not_before,
        "expires": request.expires,
    }
    return {
        "task_id": request.id,
        "state": state_of(task),
        "device_id": request.device_id,
        "metric": request.metric,
        "question": request.question,
        "conversation_id": request.conversation,
        "from": to_text(request.window_start),
        "to": to_text(request.window_end),
        **{name: to_text(moment) for name, moment in times.items() if moment is not None},
        "attempts": task.attempts,
        "created": to_text(task.created),
        "started": None if task.started is None else to_text(task.started),
        "updated": to_text(task.updated),
        "finished": to_text(task.updated) if task.state in ENDED else None,
        "error": task.error,
        "cost_usd": None if insight is None else insight.cost_usd,
        "insight": None if insight is None else insight.model_dump(mode="json"),
    }


class Kept(BaseModel):
    """A task that has ended, as it is kept for a while, and whose it is."""

    model_config = ConfigDict(extra="forbid")

    tenant: str
    view: dict[str, Any]

    @classmethod
    def of(cls, task: Task) -> Self:
        """Make it of a task."""
        return cls(tenant=task.tenant, view=told(task))


def kept(text: bytes | None, task_id: str) -> Kept | None:
    """Read what was kept of a task that has ended; None if it is not that."""
    if text is None:
        return None
    try:
        found = Kept.model_validate_json(text)
        if found.view.get("insight") is not None:
            Insight.model_validate_json(json.dumps(found.view["insight"]))
    except ValidationError:
        return None
    is_it = found.view.get("task_id") == task_id and found.view.get("state") in ENDED
    return found if is_it else None
