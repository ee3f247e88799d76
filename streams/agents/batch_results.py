"""What has come of a batch: each window's answer and its share of the cost, and what each tenant has spent."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from pydantic import ValidationError

from connectors.llm.batches import Result
from connectors.llm.prices import Price, Usage
from connectors.money import Spent
from connectors.timescale.batches import Answered, Ended, Item, Open, OpenLine
from schemas.codec import decode
from schemas.fields import Source
from schemas.models import AnalysisRequest, Insight
from streams.agents.packs import split
from streams.prompts.answer import Answer, RefusedAnswerError
from streams.prompts.facts import Facts
from streams.prompts.insight import Origin, insight
from streams.prompts.pack import Answers, by_window
from streams.prompts.prompt import fingerprint

log = logging.getLogger(__name__)

NOTHING = Decimal(0)


def ended(batch: Open, outcome: str, results: Sequence[Result[Answers]], *, model: str, price: Price) -> Ended:
    """Say how a batch has ended.

    Of a line that was answered the cost is what its tokens cost at this price, or all that was set aside where the
    endpoint does not say them. A line of which nothing was said costs nothing where the batch did not come to it, and
    may have cost all of that where it did.
    """
    by_line = _by_line(batch, results)
    answers: list[Answered] = []
    took: dict[int, Decimal] = {}
    spent: dict[str, Spent] = {}
    for number, line in batch.lines.items():
        result = by_line.get(number)
        usage, unsettled = _cost(line, result, price, unknown=outcome in {"completed", "lost"})
        took[number] = usage.usd + unsettled
        if result is not None and not result.is_free:
            answers += _answers(number, line.windows, result, usage)
        if usage.usd or unsettled or usage.prompt_tokens:
            one = Spent(
                line.tenant,
                batch.endpoint,
                model,
                1,
                usage.prompt_tokens,
                usage.cached_tokens,
                usage.completion_tokens,
                usage.usd,
                unsettled,
            )
            spent[line.tenant] = spent[line.tenant] + one if line.tenant in spent else one
    return Ended(outcome, answers, took, list(spent.values()))


def _by_line(batch: Open, results: Iterable[Result[Answers]]) -> dict[int, Result[Answers]]:
    """Give the first result of each line; what was never asked is passed over."""
    keys = {str(number): number for number in batch.lines}
    found: dict[int, Result[Answers]] = {}
    for result in results:
        if result.key in keys:
            found.setdefault(keys[result.key], result)
    return found


def _cost(line: OpenLine, result: Result[Answers] | None, price: Price, *, unknown: bool) -> tuple[Usage, Decimal]:
    """Give what a line took, and what it may have cost at the most where nobody knows."""
    if result is None:
        return Usage(), line.usd if unknown else NOTHING
    if result.is_free:
        return Usage(), NOTHING
    says = result.usage.prompt_tokens + result.usage.completion_tokens > 0
    return replace(result.usage, usd=price.of(result.usage) if says else line.usd), NOTHING


def _answers(number: int, windows: int, result: Result[Answers], usage: Usage) -> Iterator[Answered]:
    reply = result.reply
    answers = {} if reply is None else by_window(reply.answer, windows)
    for n, share in enumerate(split(usage, windows), start=1):
        answer = answers.get(n)
        yield Answered(
            number,
            n,
            # Without the number, which says nothing outside its line.
            None if answer is None else answer.model_dump_json(include=set(Answer.model_fields)),
            "" if reply is None else reply.model,
            share.prompt_tokens,
            share.completion_tokens,
            share.usd,
        )


def answer_of_batch(item: Item, now: datetime) -> Insight | None:
    """Make the insight of what a batch has answered about what it was asked, if it can be used."""
    if item.answer is None:
        return None
    request = decode(item.request, AnalysisRequest)
    origin = Origin(
        source=Source.MODEL,
        created=now,
        latency_s=max(0.0, (now - item.created).total_seconds()),
        model=item.model,
        prompt_hash=fingerprint(Facts.of(request)),
        prompt_tokens=item.prompt_tokens,
        completion_tokens=item.completion_tokens,
        cost_usd=float(item.usd),
    )
    try:
        return insight(request, Answer.model_validate_json(item.answer), origin)
    except (RefusedAnswerError, ValidationError) as error:
        log.warning(
            "no usable answer of a batch about %s of %s: %s",
            request.metric,
            request.device_id,
            error,
            extra={"task": request.id, "device": request.device_id},
        )
        return None


def spent_on(item: Item | None) -> Usage:
    """Say what a batch took for a request that it has not answered."""
    return Usage() if item is None else Usage(item.prompt_tokens, item.completion_tokens, 0, item.usd)
