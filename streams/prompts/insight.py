"""An answer becomes an insight: checked, filled in, and with all that says where it came from."""

from dataclasses import dataclass
from datetime import datetime

from schemas.fields import Source, deterministic_id
from schemas.models import AnalysisRequest, Insight
from streams.prompts.answer import Answer, RefusedAnswerError, check
from streams.prompts.placeholders import fill

TEXT_LENGTH = 4096  # of schemas.fields.Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who gave an answer, to what prompt, when, and what it cost. `latency_s` counts from taking up the request."""

    source: Source
    created: datetime
    latency_s: float
    model: str | None = None
    prompt_hash: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


def insight_id(request: AnalysisRequest) -> str:
    """Give the id that the insight of this request has, whoever answers and however often."""
    return deterministic_id("insight", request.id)


def insight(request: AnalysisRequest, answer: Answer, origin: Origin) -> Insight:
    """Make the insight that answers `request`.

    Raises:
        RefusedAnswerError: the answer contradicts the window (see `check`), or is too long once it is filled in.

    """
    check(answer, request)
    summary = fill(answer.summary, request)
    causes = tuple(fill(text, request) for text in answer.probable_causes)
    actions = tuple(fill(text, request) for text in answer.recommended_actions)
    longest = max(len(text) for text in (summary, *causes, *actions))
    if longest > TEXT_LENGTH:
        raise RefusedAnswerError("length", f"{longest} characters once it is filled in; {TEXT_LENGTH} are allowed")
    return Insight(
        id=insight_id(request),
        request_id=request.id,
        region=request.region,
        tenant=request.tenant,
        device_id=request.device_id,
        metric=request.metric,
        window_start=request.window_start,
        window_end=request.window_end,
        kind=request.kind,
        severity=answer.severity,
        summary=summary,
        probable_causes=causes,
        recommended_actions=actions,
        confidence=answer.confidence,
        source=origin.source,
        model=origin.model,
        prompt_hash=origin.prompt_hash,
        prompt_tokens=origin.prompt_tokens,
        completion_tokens=origin.completion_tokens,
        cost_usd=origin.cost_usd,
        topic=request.topic,
        partition=request.partition,
        first_offset=request.first_offset,
        last_offset=request.last_offset,
        latency_s=origin.latency_s,
        created=origin.created,
    )
