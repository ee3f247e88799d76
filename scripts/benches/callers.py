"""Callers of several processes that share a day's budget: how many calls are made where the money is for so many.

Run as a process (`python -m scripts.benches.callers`) it is one of them: it asks as often as the environment says, all
at once, and prints how many were answered.
"""

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, SecretStr

from connectors.clock import SystemClock
from connectors.llm.budget import Budget, Budgets
from connectors.llm.call import Terms
from connectors.llm.door import Door
from connectors.llm.errors import BudgetSpentError
from connectors.llm.pool import Pool
from connectors.llm.prices import WRAPPING
from connectors.llm.schema import request_bytes
from connectors.llm.settings import Endpoint
from connectors.timescale.settings import DatabaseSettings
from connectors.timescale.treasury import Treasury
from scripts.benches import standin
from scripts.benches.measure import MeasureError

ROOT = Path(__file__).parents[2]
CALLERS, PROCESSES, AFFORDED = 100, 4, 40
SYSTEM, USER, OUTPUT_TOKENS = "You judge.", "Judge this.", 500
DOLLARS = Decimal(1)  # for a million tokens
WITHIN_S = 60.0


class Verdict(BaseModel):
    """What is asked for."""

    level: int


def calls_made(database_url: str) -> int:
    """Let all callers ask at once, and count the calls that came to the endpoint."""
    with standin.running() as (url, control):
        # None is settled before all have asked: what a call leaves of its reservation pays for others.
        standin.call(control, "PUT", "default", {"behaviour": "slow:5"})
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CALLERS_URL": url, "CALLERS_DATABASE": database_url}
        command = [sys.executable, "-m", "scripts.benches.callers"]
        processes = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ourselves
            for _ in range(PROCESSES)
        ]
        answered = sum(_answered(process) for process in processes)
        made = [one for one in standin.call(control, "GET", "requests") if one["method"] == "POST"]
    if answered != len(made):
        raise MeasureError(f"{len(made)} calls were made, and {answered} answered")
    return len(made)


def _answered(process: "subprocess.Popen[str]") -> int:
    said, _ = process.communicate(timeout=WITHIN_S)
    if process.returncode:
        raise MeasureError("a caller failed")
    return int(json.loads(said)["answered"])


async def _ask_all(url: str, database: DatabaseSettings, times: int) -> int:
    model = Endpoint(
        name="one",
        base_url=url,
        api_key=SecretStr("k"),
        model="m",
        max_concurrent=CALLERS,
        input_usd=DOLLARS,
        output_usd=DOLLARS,
    )
    most = (request_bytes(SYSTEM, USER, Verdict) + WRAPPING + OUTPUT_TOKENS) * DOLLARS / 1_000_000
    clock, treasury = SystemClock(), Treasury(database)
    door = Door(budget=Budget(Budgets(total=AFFORDED * most), treasury, clock))
    try:
        async with Pool([model], clock, timeout_s=WITHIN_S, door=door) as pool:

            async def ask() -> bool:
                try:
                    await pool.ask(SYSTEM, USER, Verdict, terms=Terms(output_tokens=OUTPUT_TOKENS))
                except BudgetSpentError:
                    return False
                return True

            return sum(await asyncio.gather(*(ask() for _ in range(times))))
    finally:
        await treasury.close()


def main() -> None:
    """Be one of the processes."""
    database = DatabaseSettings(url=SecretStr(os.environ["CALLERS_DATABASE"]))
    answered = asyncio.run(_ask_all(os.environ["CALLERS_URL"], database, CALLERS // PROCESSES))
    print(json.dumps({"answered": answered}))


if __name__ == "__main__":
    main()
