"""Does an endpoint do what it should? It is asked for the list of its models, and for one tiny answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from connectors.clock import Clock
from connectors.errors import ConnectorError
from connectors.llm import cures
from connectors.llm.client import Model
from connectors.llm.cures import Known, Sign
from connectors.llm.errors import BusyEndpointError, RefusedRequestError, WrongAnswerError
from connectors.llm.prices import price_of
from connectors.llm.settings import Endpoint, OutputLimit

# As much as a worker allows for an answer; this one needs some twenty.
OUTPUT_TOKENS = 1000
# How long the list of models is waited for.
LIST_WITHIN_S = 5.0

# Only the schema says in which words to answer: who uses them has kept to it.
SYSTEM = "You watch a tide gate. Answer in the form that you were given."
USER = "At 06:00 the water outside stood at 3.1 m, at 07:00 at 2.4 m. Two of the gate's doors are open."


class TideGate(BaseModel):
    """How the water runs at a tide gate, and how many of its openings let it through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    course: Literal["flooding", "ebbing", "slack"]
    sluices: int


async def examine(endpoint: Endpoint, clock: Clock, *, within_s: float, budgeted: bool, calls: bool) -> list[Sign]:
    """Find out whether an endpoint can be used; each problem comes with its cure.

    Each request may take `within_s`: one for the list of models (less), and with `calls` one, or up to three while the
    server refuses the name of the output limit. With a budget, a price has to be known.
    """
    try:
        async with Model(endpoint, min(within_s, LIST_WITHIN_S)) as model:
            base_url, listed = model.base_url, await _listed(model)
    except ConnectorError as error:  # it cannot be asked anything
        return [cures.unusable(error)]
    known = Known(endpoint, base_url, listed, price_of(endpoint, base_url), budgeted)
    # Who cannot be reached for the list cannot be for a call.
    if calls and not (isinstance(listed, BusyEndpointError) and listed.status is None and listed.is_free):
        signs, works = await _called(known, clock, within_s)
    else:
        signs, works = [cures.by_list(known)], endpoint.output_limit
    limit = cures.output_limit(known, works)
    return [*signs, *([limit] if limit else []), cures.price(known)]


async def _listed(model: Model) -> frozenset[str] | ConnectorError:
    try:
        return await model.models()
    except ConnectorError as error:
        return error


async def _called(known: Known, clock: Clock, within_s: float) -> tuple[list[Sign], OutputLimit]:
    """Ask for an answer; give what is seen by it, and with which output limit it was accepted."""
    own = known.endpoint.output_limit
    refusals = []
    for limit in (own, *(other for other in OutputLimit if other is not own)):
        wrong = None
        began = clock.monotonic()
        try:
            async with Model(known.endpoint.model_copy(update={"output_limit": limit}), within_s) as model:
                usage = (await model.ask(SYSTEM, USER, TideGate, output_tokens=OUTPUT_TOKENS)).usage
        except RefusedRequestError as error:
            refusals.append(error)
            if error.status in cures.NOT_TAKEN:
                continue
            break
        except WrongAnswerError as error:
            if error.reason == "protocol":
                return [cures.trouble(known, error)], own
            wrong, usage = error, error.usage
        except ConnectorError as error:
            return [cures.trouble(known, error)], own
        seconds = clock.monotonic() - began
        return [cures.answered(known, usage, seconds), cures.structured(wrong)], limit
    return [cures.trouble(known, refusals[-1])], own
