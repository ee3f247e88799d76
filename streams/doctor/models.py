"""The models: whether each endpoint answers, with what it promises."""

import asyncio
from collections.abc import Iterator, Sequence

from connectors.clock import SystemClock
from connectors.embedded import valkey
from connectors.llm import roster
from connectors.llm.budget import Budgets
from connectors.llm.checkup import examine
from connectors.llm.cures import Sign
from connectors.llm.settings import Endpoint
from streams.doctor.finding import Finding
from streams.settings import Settings


def check(settings: Settings, *, calls: bool) -> Iterator[Finding]:
    """Look at each model endpoint; without `calls` none is asked anything but the list of its models.

    Raises:
        ConnectorError: the list of endpoints cannot be read.

    """
    file = settings.llm.endpoints_file
    endpoints = settings.llm.endpoints if file is None else roster.read(file)
    if not endpoints:
        yield Finding(
            "Models", fine=True, seen="none: rules answer", cure="Set TIDEGATE_LLM__ENDPOINTS or OPENAI_API_KEY."
        )
        return
    all_signs = asyncio.run(_examined(settings, endpoints, calls=calls))
    for endpoint, signs in zip(endpoints, all_signs, strict=True):
        what = f"Model {endpoint.name}"
        for sign in signs:
            yield Finding(f"{what} {sign.aspect}".rstrip(), sign.fine, sign.seen, sign.cure)
        if endpoint.region not in {"", settings.region}:
            ours = f"ours is {settings.region}" if settings.region else "ours is not set (TIDEGATE_REGION)"
            cure = "It is asked only while none of our region has room."
            yield Finding(f"{what} region", fine=True, seen=f"{endpoint.region}, {ours}", cure=cure)
    yield from _minutes(settings, endpoints)


async def _examined(settings: Settings, endpoints: Sequence[Endpoint], *, calls: bool) -> list[list[Sign]]:
    clock, budgeted = SystemClock(), Budgets.of(settings.llm).is_limited()
    return await asyncio.gather(
        *(
            examine(endpoint, clock, within_s=settings.llm.timeout_s, budgeted=budgeted, calls=calls)
            for endpoint in endpoints
        )
    )


def _minutes(settings: Settings, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    limited = [endpoint.name for endpoint in endpoints if endpoint.rpm is not None or endpoint.tpm is not None]
    if limited and not settings.redis.url.get_secret_value():
        yield Finding(
            "Models a minute",
            fine=True,
            seen=f"workers share rpm and tpm of {', '.join(limited)} through Redis, and no address of one is set",
            cure=f"`tidegate up` starts one; else set {valkey.SETTING}, or workers refuse to start.",
        )
