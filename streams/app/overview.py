"""How everything does, for the dashboard: what `tidegate status` asks, kept connected, in a thread of its own."""

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime

import psycopg

from connectors.closing import Closing
from connectors.errors import ConnectorError
from schemas.errors import TidegateError
from schemas.topics import DEAD_LETTERS
from streams.observe import Observer
from streams.settings import Settings


class Overview(Closing):
    """Looks; for one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is connected yet."""
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="overview")
        self._observer: Observer | None = None

    async def __call__(self) -> Mapping[str, object]:
        """Say how everything does.

        Raises:
            ConnectorError: Kafka or the database does not answer.

        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look)

    async def close(self) -> None:
        """End the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        self._thread.shutdown(wait=False)

    def _look(self) -> Mapping[str, object]:
        try:
            if self._observer is None:
                self._observer = Observer(self._settings)
            return self._seen(self._observer)
        except psycopg.OperationalError as error:
            self._end()
            raise ConnectorError("the database does not answer") from error
        except TidegateError:
            self._end()
            raise

    def _seen(self, observer: Observer) -> Mapping[str, object]:
        try:
            endpoints = [{"worker": worker, **one.model_dump(mode="json")} for worker, one in observer.endpoints()]
        except TidegateError:  # Redis is away: all else is in other places
            endpoints = []
        granted = observer.granted().get("total")
        budget = self._settings.llm.budget_usd_per_day
        return {
            "at": datetime.now(UTC).isoformat(),
            "region": self._settings.region,
            "devices": observer.devices(),
            "totals": asdict(observer.totals()),
            "dead_letters": observer.written(DEAD_LETTERS),
            "lag": observer.lag(),
            "waiting_for_models": observer.postponed(),
            "answers_of_a_day": [
                {"source": source, "insights": insights, "usd": usd} for source, insights, usd in observer.by_source()
            ],
            "spent_today_usd": float(sum(one.usd for one in observer.spent())),
            "granted_today_usd": None if granted is None else float(granted),
            "budget_usd_per_day": None if budget is None else float(budget),
            "endpoints": endpoints,
        }

    def _end(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            with contextlib.suppress(psycopg.Error):
                observer.__exit__()
