"""One endpoint, asked through the `openai` client for an answer of a given type. No retries: who asks decides."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import urlsplit

import openai
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.errors import ConnectorError
from connectors.llm.errors import SETTING, BusyEndpointError, RefusedRequestError, WrongAnswerError
from connectors.llm.headers import rest_s, retry_after
from connectors.llm.prices import Usage
from connectors.llm.schema import strict_schema
from connectors.llm.settings import Endpoint, OutputLimit, Tier

A = TypeVar("A", bound=BaseModel)

CONNECT_TIMEOUT_S = 5.0
SHORTEST_KEY = 8

# Statuses that pass by themselves, beside 5xx: the server's own timeout, a conflict of locks, too early, too many.
_PASSING = frozenset({408, 409, 425, 429})
# What the library's HTTP client raises before it sends anything. (The library may be built on either of two clients.)
_NEVER_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
# An error code is shown only if it looks like one: what a server answers may repeat the request, key and all.
_CODE = re.compile(r"[a-z_]{1,64}")


@dataclass(frozen=True, slots=True)
class Reply(Generic[A]):
    """An answer, the model that gave it (as the endpoint names it), and its tokens."""

    answer: A
    model: str
    usage: Usage
    # How long the endpoint should be left alone, or it would say that it is too much.
    rest_s: float = 0.0
    # Which endpoint it was, where there are several, and of which tier.
    endpoint: str = ""
    tier: Tier | None = None


class _Loose(BaseModel):
    """What is read of a completion; compatible servers add and leave out a lot."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class _Message(_Loose):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Loose):
    message: _Message
    finish_reason: str | None = None


class _Kept(_Loose):
    cached_tokens: int = Field(default=0, ge=0, lt=2**63)


class _Tokens(_Loose):
    # Below what a long can hold: a count beyond it could not be stored.
    prompt_tokens: int = Field(default=0, ge=0, lt=2**63)
    completion_tokens: int = Field(default=0, ge=0, lt=2**63)
    prompt_tokens_details: _Kept | None = None

    def usage(self) -> Usage:
        kept = self.prompt_tokens_details
        return Usage(self.prompt_tokens, self.completion_tokens, kept.cached_tokens if kept else 0)


class _Completion(_Loose):
    choices: tuple[_Choice, ...]
    model: str = ""
    usage: _Tokens | None = None


class _Listed(_Loose):
    id: str


class _Models(_Loose):
    data: tuple[_Listed, ...]


class Model:
    """One model of one endpoint. Safe for many questions at once; closed with `close` or `async with`."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Prepare the client; nothing is sent yet. `timeout_s` bounds a whole call, from connecting to the last byte.

        Without a `base_url` the library's defaults hold: `OPENAI_BASE_URL`, else OpenAI itself.

        Raises:
            ConnectorError: the endpoint has neither a key nor an address, or one that cannot be used.

        """
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        _check_address(endpoint)
        key = endpoint.api_key.get_secret_value()
        if not key and endpoint.base_url:
            # The library would take OPENAI_API_KEY instead, and that is not for this server to see. Servers that need
            # no key accept any.
            key = "none"
        try:
            self._client = openai.AsyncOpenAI(
                api_key=key or None,
                base_url=endpoint.base_url or None,
                timeout=openai.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
                max_retries=0,
            )
        except openai.OpenAIError:
            message = f"Model endpoint {endpoint.name!r} has no api_key. Set it in {SETTING}, or set OPENAI_API_KEY."
            raise ConnectorError(message) from None
        if not re.fullmatch(r"[!-~]*", self._client.api_key):
            message = (
                f"The api_key of model endpoint {endpoint.name!r} has a space, a line break or a letter outside ASCII. "
                f"Correct it in {SETTING}."
            )
            raise ConnectorError(message)

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self._endpoint.name

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def base_url(self) -> str:
        """Where it is. It may carry a password."""
        return str(self._client.base_url)

    async def ask(self, system: str, user: str, answer: type[A], *, output_tokens: int | None = None) -> Reply[A]:
        """Ask for an answer of the type `answer`, as structured output. Cancelling closes the connection.

        The endpoint is told to end the answer after `output_tokens`.

        Raises:
            BusyEndpointError: HTTP 408, 409, 425, 429 or 5xx, no answer in time, or no connection.
            RefusedRequestError: any other HTTP error.
            WrongAnswerError: a refusal, or an answer that is cut off, filtered, empty or not of the type.

        """
        async with self._failures_explained():
            response = await self._client.chat.completions.with_raw_response.create(
                model=self._endpoint.model,
                messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": answer.__name__, "schema": strict_schema(answer), "strict": True},
                },
                extra_body=self._limited(output_tokens),
            )
            # The body is read by models of ours: the library's own parsing trusts it, and fails in many ways.
            body = response.http_response.content
        reply = self._read(body, answer)
        usage = reply.usage
        return replace(reply, rest_s=rest_s(response.headers, usage.prompt_tokens + usage.completion_tokens))

    async def models(self) -> frozenset[str]:
        """List the endpoint's models, which costs nothing; there may be more than it lists.

        Raises:
            BusyEndpointError: as for `ask`.
            RefusedRequestError: any other HTTP error; 404 where a server does not list its models.
            WrongAnswerError: it is no list of models.

        """
        async with self._failures_explained():
            response = await self._client.models.with_raw_response.list()
            body = response.http_response.content
        try:
            listed = _Models.model_validate_json(body)
        except ValidationError as error:
            raise WrongAnswerError(self.name, "protocol", _first(error)) from None
        return frozenset(model.id for model in listed.data if not self._repeats_key(model.id))

    def _repeats_key(self, text: str) -> bool:
        # A server may repeat the key anywhere. (A shorter one is no key, but what stands for none.)
        key = self._client.api_key
        return len(key) >= SHORTEST_KEY and key in text

    def _limited(self, output_tokens: int | None) -> dict[str, int] | None:
        limit = self._endpoint.output_limit
        if output_tokens is None or limit is OutputLimit.NONE:
            return None
        return {str(limit): output_tokens + self._endpoint.reasoning_tokens}

    @contextlib.asynccontextmanager
    async def _failures_explained(self) -> AsyncIterator[None]:
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
        known = bool(_CODE.fullmatch(code)) and code not in {self._client.api_key, ""}
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
        url = self._client.base_url
        return f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"

    def _read(self, body: bytes, answer: type[A]) -> Reply[A]:
        try:
            completion = _Completion.model_validate_json(body)
        except ValidationError as error:
            raise WrongAnswerError(self.name, "protocol", _first(error)) from None
        usage = (completion.usage or _Tokens()).usage()
        if not completion.choices:
            raise WrongAnswerError(self.name, "empty", usage=usage)
        choice = completion.choices[0]
        if choice.message.refusal:
            raise WrongAnswerError(self.name, "refusal", usage=usage)
        if choice.finish_reason == "length":
            raise WrongAnswerError(self.name, "truncated", usage=usage)
        if choice.finish_reason == "content_filter":
            raise WrongAnswerError(self.name, "filtered", usage=usage)
        if not choice.message.content:
            raise WrongAnswerError(self.name, "empty", usage=usage)
        try:
            parsed = answer.model_validate_json(choice.message.content)
        except ValidationError as error:
            raise WrongAnswerError(self.name, "schema", _first(error), usage) from None
        named = completion.model if completion.model.isprintable() else ""
        return Reply(parsed, named or self._endpoint.model, usage)


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


def _first(error: ValidationError) -> str:
    """Name the first thing wrong, without anything that the server wrote."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # The place of an unknown field is its name, which is the server's.
    where = "" if problem["type"] == "extra_forbidden" else ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['type']}" if where else problem["type"]
