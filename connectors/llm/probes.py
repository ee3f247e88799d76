"""Is anybody there? Endpoints are asked for the list of their models, which costs nothing and disturbs nobody.

So one that died is known before a call finds out, and one that is back is used again at once.
"""

import asyncio

from connectors import metrics
from connectors.errors import ConnectorError, SlowDownError
from connectors.llm.pool import Pool

# How long an answer may take. A server that is busy with prompts takes its time.
WITHIN_S = 5.0
EVERY_S = 5.0


async def probe(pool: Pool) -> None:
    """Ask all endpoints that have no call out: those that have are known better. Tell how all of them do."""
    idle = [name for name, state in pool.balancer.states.items() if not state.in_flight]
    alive = await asyncio.gather(*(_is_alive(pool, name) for name in idle))
    for name, answers in zip(idle, alive, strict=True):
        pool.balancer.probed(name, alive=answers)
    for name, state in pool.balancer.states.items():
        metrics.MODEL_LEFT_ALONE.labels(name).set(state.breaker.open_until is not None)
        metrics.MODEL_EJECTIONS.labels(name).set(state.breaker.openings)
    pool.wake()


async def _is_alive(pool: Pool, name: str) -> bool:
    try:
        async with asyncio.timeout(WITHIN_S):
            await pool.members[name].model.models()
    except (SlowDownError, TimeoutError):
        return False
    except ConnectorError:
        # It has said something, be it only that it has no such list.
        return True
    return True
