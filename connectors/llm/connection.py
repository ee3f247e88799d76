"""The `openai` client of one endpoint, and what its failures mean to us. No retries: who asks decides."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import openai

from connectors.closing import Closing
from connectors.errors import ConnectorError
from connectors.llm.errors import SETTING, BusyEndpointError, RefusedRequestError
from connectors.llm.headers import retry_after
from connectors.llm.settings import Endpoint

CONNECT_TIMEOUT_S = 5.0
SHORTEST_KEY = 8

# Statuses that pass by themselves, beside 5xx: the server's own timeout, a conflict of locks, too early, too many.
_PASSING = frozenset({408, 409, 425, 429})
# What the library's HTTP client raises before it sends anything. (The library may be built on either of two clients.)
_NEVER_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
# An error code is shown only if it looks like one: what a server answers may repeat the request, key and all.
_CODE = re.compile(r"[a-z_]{1,64}")


class Connection(Closing):
    """One endpoint's client. Closed with `close` or `async with`."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Prepare the client; nothing is sent yet. `timeout_s` bounds a whole call, from connecting to the last byte.

        Without a `base_url` the library's defaults hold: `OPENAI_BASE_URL`, else OpenAI itself.

        Raises:
            ConnectorError: the endpoint has neither a key nor an address, or one that cannot be used.

        """
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        _check_address(endpoint)
        key = endpoint.api_key.get_secret_value()
        if not key and endpoint.base_url:
            # The library would take OPENAI_API_KEY instead, and that is not for this server to see. Servers that need
            # no key accept any.
            key = "none"
        try:
            self.client = openai.AsyncOpenAI(
                api_key=key or None,
                base_url=endpoint.base_url or None,
                timeout=openai.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
                max_retries=0,
            )
        except openai.OpenAIError:
            message = f"Model endpoint {endpoint.name!r} has no api_key. Set it in {SETTING}, or set OPENAI_API_KEY."
            raise ConnectorError(message) from None
        if not re.fullmatch(r"[!-~]*", self.client.api_key):
            message = (
                f"The api_key of model endpoint {endpoint.name!r} has a space, a line break or a letter outside ASCII. "
                f"Correct it in {SETTING}."
            )
            raise ConnectorError(message)

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.endpoint.name

    @property
    def base_url(self) -> str:
        """Where it is. It may carry a password."""
        return str(self.client.base_url)

    def repeats_key(self, text: str) -> bool:
        """Say whether a text holds the key: a server may repeat it anywhere."""
        key = self.client.api_key
        # A shorter one is no key, but what stands for none.
        return len(key) >= SHORTEST_KEY and key in text

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    @contextlib.asynccontextmanager
    async def failures_explained(self) -> AsyncIterator[None]:
        """Say in our own errors what fails in a call.

        Raises:
            BusyEndpointError: HTTP 408, 409, 425, 429 or 5xx, no answer in time, or no connection.
            RefusedRequestError: any other HTTP error.

        """
        # `from None` everywhere: the library's errors hold the server's text, which may repeat the key.
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except (TimeoutError, openai.APITimeoutError) as error:
            detail = f"no answer within {self._timeout_s:g} s"
            raise BusyEndpointError(self.name, detail, was_sent=_was_sent(error)) from None
        except openai.APIConnectionError as error:
            detail = (
                f"the connection to {self._address()} broke or was never made. Its address is base_url in {SETTING}"
            )
            raise BusyEndpointError(self.name, detail, was_sent=_was_sent(error)) from None
        except openai.APIStatusError as error:
            raise self._status(error) from None

    def _status(self, error: openai.APIStatusError) -> ConnectorError:
        code = error.code or ""
        known = bool(_CODE.fullmatch(code)) and code not in {self.client.api_key, ""}
        detail = code if known else ""
        status = error.status_code
        if status in _PASSING or status >= 500:  # noqa: PLR2004  # 5xx is HTTP's
            said = f"HTTP {status} ({detail})" if detail else f"HTTP {status}"
            return BusyEndpointError(
                self.name, said, retry_after(error.response.headers, datetime.now(UTC)), status=status
            )
        return RefusedRequestError(self.name, status, detail)

    def _address(self) -> str:
        # Never the whole URL: it may carry a password.
        url = self.client.base_url
        return f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _check_address(endpoint: Endpoint) -> None:
    if not endpoint.base_url:
        return
    try:
        parts = urlsplit(endpoint.base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        message = (
            f"The base_url of model endpoint {endpoint.name!r} is not an address. "
            f"One looks like http://host:8000/v1; correct it in {SETTING}."
        )
        raise ConnectorError(message)


def _was_sent(error: Exception) -> bool:
    return type(error.__cause__).__name__ not in _NEVER_CONNECTED
