"""What a person asks about a device, and the request for analysis that it becomes. Pure: no clock, no network."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from schemas.errors import PoisonError
from schemas.fields import Name, Storable
from schemas.instants import instant
from schemas.models import MAX_ASKED, AnalysisRequest

KIND: Final = "question"
MAX_LETTERS: Final = 1_000
# How long a question may wait for its time.
MAX_AHEAD: Final = timedelta(days=31)
# What a question is about where it does not say.
USUAL_WINDOW: Final = timedelta(hours=1)


def _has_words(text: str) -> str:
    if not text.strip() or len(text) > MAX_LETTERS:
        message = f"a question has 1 to {MAX_LETTERS} characters"
        raise ValueError(message)
    return text


Instant = Annotated[datetime, BeforeValidator(instant)]


class Question(BaseModel):
    """A question about one metric of a device, from an instant on and before another."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    device_id: Name
    question: Annotated[Storable, AfterValidator(_has_words)]
    # Questions that belong together have the same one: each is answered with those before it in mind.
    conversation_id: Annotated[str | None, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")] = None
    # May be left out where the device has only one.
    metric: Name | None = None
    start: Annotated[Instant | None, Field(alias="from", description="ISO 8601; else an hour before the end")] = None
    end: Annotated[Instant | None, Field(alias="to", description="ISO 8601; else now, or not_before")] = None
    not_before: Annotated[Instant | None, Field(description="ISO 8601; nobody answers before that")] = None
    expires: Annotated[Instant | None, Field(description="ISO 8601; whoever comes to it then does not answer")] = None

    def was(self, request: AnalysisRequest) -> bool:
        """Say whether a request may have been made of this question: of a time that it leaves open it may be any."""
        own = (self.device_id, self.question, self.conversation_id, self.not_before, self.expires)
        theirs = (request.device_id, request.question, request.conversation, request.not_before, request.expires)
        open_ones = (
            (self.metric, request.metric),
            (self.start, request.window_start),
            (self.end, request.window_end),
        )
        return own == theirs and all(wanted in {None, given} for wanted, given in open_ones)


def read(body: bytes) -> Question:
    """Read a body.

    Raises:
        PoisonError: it is no question; `detail` says which field is wrong, and why.

    """
    try:
        return Question.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ascii(".".join(map(str, first["loc"])))[1:-1][:120] or "body"
        raise PoisonError("invalid", f"{where}: {first['msg']}") from error


def request(question: Question, metric: str, *, task_id: str, region: str, now: datetime) -> AnalysisRequest:
    """Make the request; whoever answers looks the window up.

    Raises:
        PoisonError: the times make no window, or too long a one.

    """
    asked = _when(question, now)
    try:
        end = question.end or asked
        start = question.start or end - USUAL_WINDOW
    except OverflowError as error:
        raise PoisonError("window", "to: the calendar ends there") from error
    if not start < end:
        raise PoisonError("window", "from: must be before to")
    if end - start > MAX_ASKED:
        raise PoisonError("window", f"from, to: a question is about {MAX_ASKED.days} days at the most")
    if start > asked:
        raise PoisonError("window", "from: is in the future")
    return AnalysisRequest.of_table(
        request_id=task_id,
        region=region,
        device_id=question.device_id,
        metric=metric,
        kind=KIND,
        window=(start, end),
        question=question.question,
        conversation=question.conversation_id,
    ).model_copy(update={"not_before": question.not_before, "expires": question.expires})


def _when(question: Question, now: datetime) -> datetime:
    """Give the first instant at which a question may be answered."""
    when = now if question.not_before is None else max(now, question.not_before)
    if when - now > MAX_AHEAD:
        raise PoisonError("window", f"not_before: at most {MAX_AHEAD.days} days ahead")
    if question.expires is not None and question.expires <= when:
        raise PoisonError("window", "expires: before anybody may answer")
    return when
