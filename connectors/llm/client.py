"""One endpoint, asked through the `openai` client for an answer of a given type. No retries: who asks decides."""

from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from connectors.closing import Closing
from connectors.llm.completion import Loose, Reply, body, first_wrong, read
from connectors.llm.connection import Connection
from connectors.llm.errors import WrongAnswerError
from connectors.llm.headers import rest_s
from connectors.llm.settings import Endpoint

A = TypeVar("A", bound=BaseModel)


class _Listed(Loose):
    id: str


class _Models(Loose):
    data: tuple[_Listed, ...]


class Model(Closing):
    """One model of one endpoint. Safe for many questions at once; closed with `close` or `async with`."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Prepare the client; nothing is sent yet. `timeout_s` bounds a whole call, from connecting to the last byte.

        Raises:
            ConnectorError: the endpoint cannot be used (`connectors.llm.connection.Connection`).

        """
        self._endpoint = endpoint
        self._connection = Connection(endpoint, timeout_s)

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self._endpoint.name

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    @property
    def base_url(self) -> str:
        """Where it is. It may carry a password."""
        return self._connection.base_url

    async def ask(self, system: str, user: str, answer: type[A], *, output_tokens: int | None = None) -> Reply[A]:
        """Ask for an answer of the type `answer`, as structured output. Cancelling closes the connection.

        The endpoint is told to end the answer after `output_tokens`.

        Raises:
            BusyEndpointError: HTTP 408, 409, 425, 429 or 5xx, no answer in time, or no connection.
            RefusedRequestError: any other HTTP error.
            WrongAnswerError: a refusal, or an answer that is cut off, filtered, empty or not of the type.

        """
        asked = body(self._endpoint, system, user, answer, output_tokens=output_tokens)
        async with self._connection.failures_explained():
            response = await self._connection.client.chat.completions.with_raw_response.create(
                model=asked.pop("model"), messages=asked.pop("messages"), extra_body=asked
            )
            # The body is read by models of ours: the library's own parsing trusts it, and fails in many ways.
            written = response.http_response.content
        reply = read(self._endpoint, written, answer)
        usage = reply.usage
        return replace(reply, rest_s=rest_s(response.headers, usage.prompt_tokens + usage.completion_tokens))

    async def models(self) -> frozenset[str]:
        """List the endpoint's models, which costs nothing; there may be more than it lists.

        Raises:
            BusyEndpointError: as for `ask`.
            RefusedRequestError: any other HTTP error; 404 where a server does not list its models.
            WrongAnswerError: it is no list of models.

        """
        async with self._connection.failures_explained():
            response = await self._connection.client.models.with_raw_response.list()
            written = response.http_response.content
        try:
            listed = _Models.model_validate_json(written)
        except ValidationError as error:
            raise WrongAnswerError(self.name, "protocol", first_wrong(error)) from None
        return frozenset(model.id for model in listed.data if not self._connection.repeats_key(model.id))
