"""A file that lists the endpoints, read again whenever it changes: so they join and leave while work goes on."""

import asyncio
import logging
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from connectors.errors import ConnectorError
from connectors.llm.pool import Pool
from connectors.llm.settings import Endpoint, LlmSettings

log = logging.getLogger(__name__)

SETTING = "TIDEGATE_LLM__ENDPOINTS_FILE"
_ENDPOINTS = TypeAdapter(tuple[Endpoint, ...])


def read(path: Path) -> tuple[Endpoint, ...]:
    """Read the list, JSON as in `TIDEGATE_LLM__ENDPOINTS`.

    Raises:
        ConnectorError: there is no such file, or it says what cannot be used. The message has nothing of its content,
            which may be a secret.

    """
    try:
        endpoints = LlmSettings(endpoints=_ENDPOINTS.validate_json(path.read_bytes())).endpoints
    except OSError as error:
        raise ConnectorError(f"The list of model endpoints cannot be read: {error}. Its place is {SETTING}.") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise ConnectorError(f"{SETTING}: {path}: {f'{where}: ' if where else ''}{problem['msg']}") from None
    if not endpoints:
        raise ConnectorError(f"{SETTING}: {path} lists no endpoint.")
    return endpoints


class Roster:
    """Keeps a pool to what the file says."""

    def __init__(self, path: Path, pool: Pool) -> None:
        """Take a pool that has what the file says now."""
        self._path = path
        self._pool = pool
        self._seen = self._stamp()

    async def look(self) -> None:
        """If the file has changed, let endpoints join and leave; what cannot be used changes nothing, and is logged."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            await self._apply(await asyncio.to_thread(read, self._path))
        except ConnectorError as error:
            log.error("the endpoints stay as they were: %s", error)  # noqa: TRY400  # the message says all

    async def _apply(self, endpoints: tuple[Endpoint, ...]) -> None:
        now = {name: state.endpoint for name, state in self._pool.balancer.states.items()}
        wanted = {endpoint.name: endpoint for endpoint in endpoints}
        gone = [name for name, endpoint in now.items() if wanted.get(name) != endpoint]
        new = [self._pool.prepare(endpoint) for name, endpoint in wanted.items() if now.get(name) != endpoint]
        # One that has changed is another one of the same name, so it has to leave first.
        leaving = [asyncio.create_task(self._pool.leave(name)) for name in gone]
        await asyncio.sleep(0)
        for member in new:
            self._pool.join(member)
        log.info("model endpoints: %d left, %d joined", len(gone), len(new))
        await asyncio.gather(*leaving)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size
