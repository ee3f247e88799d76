"""Askers of several processes that want the same at once: how many calls are made.

Run as a process (`python -m scripts.benches.askers`) it is one of them: it asks as often as it is told, all at once,
through all that a worker asks with, and prints where the answers came from.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.benches import standin
from scripts.benches.levels import alarm
from scripts.benches.measure import MeasureError
from streams.agents.keeping import Keeping
from streams.agents.packing import Packer
from streams.app import keeping, models
from streams.prompts.facts import Facts
from streams.settings import Settings, load

ROOT = Path(__file__).parents[2]
ASKERS, PROCESSES = 500, 4
WITHIN_S = 60.0


def calls_made(servers: Settings, metric: str) -> int:
    """Let all ask about the same window, of a metric that nobody else asks about, and count the calls that came."""
    with standin.running() as (url, control), TemporaryDirectory() as folder:
        # Nobody is answered before all have asked.
        standin.call(control, "PUT", "default", {"behaviour": "slow:3"})
        endpoints = [{"name": "one", "base_url": url, "api_key": "k", "model": "m", "max_concurrent": ASKERS}]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TIDEGATE_DATA_DIR": folder,
            "TIDEGATE_REDIS__URL": servers.redis.url.get_secret_value(),
            "TIDEGATE_DATABASE__URL": servers.database.url.get_secret_value(),
            "TIDEGATE_LLM__ENDPOINTS": json.dumps(endpoints),
            "BENCH_METRIC": metric,
        }
        command = [sys.executable, "-m", "scripts.benches.askers"]
        processes = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ourselves
            for _ in range(PROCESSES)
        ]
        sources = sum((_sources(process) for process in processes), Counter[str]())
        made = [one for one in standin.call(control, "GET", "requests") if one["method"] == "POST"]
    if sources.total() != ASKERS:
        raise MeasureError(f"{sources.total()} of {ASKERS} askers were answered")
    return len(made)


def _sources(process: "subprocess.Popen[str]") -> Counter[str]:
    said, _ = process.communicate(timeout=WITHIN_S)
    if process.returncode:
        raise MeasureError("an asker failed")
    return Counter(json.loads(said))


async def _ask_all(settings: Settings, metric: str, times: int) -> Counter[str]:
    asked, caches = models.build(settings), keeping.assemble(settings)
    if asked is None:
        raise MeasureError("there is nobody to ask")
    packer = Packer(asked.pool, windows=settings.llm.windows_per_call)
    one = Keeping(packer, caches.cache, asked.pool.models)
    facts = Facts.of(alarm(metric))
    try:
        told = await asyncio.gather(*(one.ask(facts, lambda _: None) for _ in range(times)))
    finally:
        await caches.close()
        await asked.close()
    return Counter(str(answer.source) for answer in told)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_ask_all(load(), os.environ["BENCH_METRIC"], ASKERS // PROCESSES))), flush=True)
