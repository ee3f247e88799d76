"""One attempt to deliver a message, and what became of it."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from connectors.clock import Clock
from connectors.closing import Closing
from connectors.webhooks.message import headers
from connectors.webhooks.settings import Webhook, key_of

# What asks for a pause says so in this many seconds at the most.
LONGEST_PAUSE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. Without an `error` the message has arrived."""

    error: str | None = None
    # The receiver wants no more messages of this kind.
    is_final: bool = False
    # For how many seconds it asked to be left alone.
    pause_s: float = 0.0


class Sender(Closing):
    """Delivers to one address; for one event loop. Follows no redirection, and reads nothing of an answer's body."""

    def __init__(self, hook: Webhook, clock: Clock) -> None:
        """Nothing is connected yet."""
        self._hook = hook
        self._clock = clock
        self._key = key_of(hook.secret)
        self._client = httpx2.AsyncClient(timeout=hook.timeout_s, follow_redirects=False)

    async def send(self, message_id: str, body: str) -> Outcome:
        """Try once. Never fails: why a message has not arrived stands in what is given."""
        signed = headers(message_id, body, self._key, self._clock.now())
        url = self._hook.url.get_secret_value()
        try:
            # The client's own time-out begins anew with each byte that comes.
            async with (
                asyncio.timeout(self._hook.timeout_s),
                self._client.stream("POST", url, content=body.encode(), headers=signed) as answer,
            ):
                return _outcome(answer)
        except (TimeoutError, httpx2.TimeoutException):
            return Outcome(f"no answer within {self._hook.timeout_s:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            # The message of the error may have the address.
            return Outcome(f"it cannot be reached ({type(error).__name__})")

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()


def _outcome(answer: httpx2.Response) -> Outcome:
    if answer.is_success:
        return Outcome()
    error = f"it answered {answer.status_code}"
    if answer.status_code == HTTPStatus.GONE:
        return Outcome(error, is_final=True)
    try:
        pause_s = float(answer.headers.get("retry-after", "0"))
    except ValueError:
        pause_s = 0.0
    # Written this way round, what is not a number is no pause.
    return Outcome(error, pause_s=min(pause_s, LONGEST_PAUSE_S) if pause_s > 0 else 0.0)
