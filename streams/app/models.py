"""The models, put together: a pool with its budget, its minutes, and what has to be done beside the calls."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from connectors.clock import SystemClock
from connectors.errors import ConnectorError
from connectors.llm import probes, report, roster
from connectors.llm.accounts import Accounts
from connectors.llm.budget import Budget, Budgets
from connectors.llm.door import Door
from connectors.llm.errors import SETTING
from connectors.llm.pool import Pool
from connectors.llm.roster import Roster
from connectors.llm.settings import Endpoint
from connectors.redis.board import Board
from connectors.redis.client import SETTING as REDIS_SETTING
from connectors.redis.conversations import Conversations
from connectors.redis.rates import Rates
from connectors.redis.settings import RedisSettings
from connectors.timescale.treasury import Treasury
from streams.agents.upkeep import Upkeep
from streams.settings import Settings

WRITE_EVERY_S, TELL_EVERY_S, READ_EVERY_S = 2.0, 5.0, 5.0


@dataclass(frozen=True, slots=True)
class Models:
    """A pool, what has to be done beside its calls, and what it is connected to."""

    pool: Pool
    door: Door
    upkeep: Sequence[Upkeep]
    memory: Conversations | None
    rates: Rates | None
    board: Board | None
    treasury: Treasury

    def take_batches(self) -> bool:
        """Say whether any endpoint takes batches now."""
        return any(member.endpoint.batch for member in self.pool.members.values())

    async def close(self) -> None:
        """Give back what was leased, write down what was spent, and end all connections."""
        try:
            await self.pool.close()
        finally:
            for part in (self.memory, self.rates, self.board, self.treasury):
                if part is not None:
                    await part.close()


def build(settings: Settings) -> Models | None:
    """Put the models together, if the settings name any; nothing is connected yet.

    Raises:
        ConnectorError: an endpoint cannot be used as the settings say.

    """
    file = settings.llm.endpoints_file
    endpoints = settings.llm.endpoints if file is None else roster.read(file)
    if not endpoints:
        return None
    worker, clock = f"{socket.gethostname()}:{os.getpid()}", SystemClock()
    treasury = Treasury(settings.database)
    rates = _rates(settings.redis, endpoints, worker)
    door = Door(
        rates=rates,
        budget=Budget(Budgets.of(settings.llm), treasury, clock),
        accounts=Accounts(treasury),
    )
    pool = Pool(endpoints, clock, timeout_s=settings.llm.timeout_s, region=settings.region, door=door)
    upkeep = [
        Upkeep("probing the model endpoints", partial(probes.probe, pool), every_s=probes.EVERY_S),
        Upkeep("writing down what models cost", door.write, every_s=WRITE_EVERY_S),
    ]
    if file is not None:
        upkeep.append(Upkeep("reading the list of endpoints", Roster(file, pool).look, every_s=READ_EVERY_S))
    board, memory = None, None
    if settings.redis.url.get_secret_value():
        memory = Conversations.of(settings.redis)
        board = Board(settings.redis, worker=worker)

        async def tell(board: Board = board) -> None:
            await board.tell(report.report(pool, clock.monotonic()))

        upkeep.append(Upkeep("telling how the endpoints do", tell, every_s=TELL_EVERY_S))
    return Models(pool, door, upkeep, memory, rates, board, treasury)


def _rates(redis: RedisSettings, endpoints: Sequence[Endpoint], worker: str) -> Rates | None:
    if redis.url.get_secret_value():
        return Rates(redis, SystemClock(), worker=worker)
    limited = [endpoint.name for endpoint in endpoints if endpoint.rpm is not None or endpoint.tpm is not None]
    if limited:
        raise ConnectorError(
            f"Model endpoint {limited[0]!r} has a limit a minute, and workers share it through Redis: set "
            f"{REDIS_SETTING}, or leave rpm and tpm out of {SETTING}."
        )
    return None
