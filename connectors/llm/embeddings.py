"""Vectors of texts, from an endpoint that speaks OpenAI's embeddings API. No retries: who asks decides.

What a server answers is bounded in size, and read by models of ours: as many vectors as texts, in their order, all of
one length, of finite numbers. What the tokens cost is not taken from the budget, only counted.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from connectors.closing import Closing
from connectors.llm.completion import Loose, first_wrong
from connectors.llm.connection import Connection
from connectors.llm.errors import BusyEndpointError, WrongAnswerError
from connectors.llm.settings import Endpoint

# Texts of a request, and the most that is read of an answer: 64 vectors of 8192 numbers, as JSON writes them.
PER_REQUEST: Final = 64
MOST_DIMENSIONS: Final = 8192
MOST_BYTES: Final = 16 * 2**20

_Vectors = NDArray[np.float32]


class _Item(Loose):
    index: int
    embedding: Annotated[tuple[float, ...], Field(min_length=1, max_length=MOST_DIMENSIONS)]


class _Tokens(Loose):
    prompt_tokens: Annotated[int, Field(ge=0, lt=2**63)] = 0


class _Listed(Loose):
    data: Annotated[tuple[_Item, ...], Field(max_length=PER_REQUEST)]
    usage: _Tokens | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The vectors of one request, in the order of its texts, and how many tokens these had."""

    vectors: _Vectors
    prompt_tokens: int


def read(endpoint: str, written: bytes, texts: int, dimensions: int | None) -> Answer:
    """Read an answer with so many vectors of so many dimensions (None: all alike); they are made 1 long.

    Raises:
        WrongAnswerError: it is anything else.

    """
    try:
        listed = _Listed.model_validate_json(written)
    except ValidationError as error:
        raise WrongAnswerError(endpoint, "protocol", first_wrong(error)) from None
    items = sorted(listed.data, key=lambda item: item.index)
    if [item.index for item in items] != list(range(texts)):
        raise WrongAnswerError(endpoint, "protocol", f"not one vector for each of {texts} texts")
    expected = dimensions or len(items[0].embedding)
    if any(len(item.embedding) != expected for item in items):
        raise WrongAnswerError(endpoint, "protocol", f"vectors that have not {expected} dimensions")
    vectors = np.array([item.embedding for item in items], dtype=np.float64)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    if not (np.isfinite(largest) & (largest > 0)).all():
        raise WrongAnswerError(endpoint, "protocol", "a vector without direction")
    # The largest number becomes 1 first: squares of huge and tiny ones are not numbers any more.
    vectors /= largest
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Answer(vectors.astype(np.float32), listed.usage.prompt_tokens if listed.usage else 0)


class Embeddings(Closing):
    """One model of embeddings. Safe for many calls at once; closed with `close` or `async with`."""

    def __init__(self, endpoint: Endpoint, dimensions: int | None, timeout_s: float) -> None:
        """Prepare the client; nothing is sent yet. `timeout_s` bounds a request, from connecting to the last byte.

        The endpoint is asked for so many `dimensions`; None: for as many as its model has by itself.

        Raises:
            ConnectorError: the endpoint cannot be used (`connectors.llm.connection.Connection`).
            ValueError: there are no vectors with so many dimensions.

        """
        if dimensions is not None and not 1 <= dimensions <= MOST_DIMENSIONS:
            message = f"vectors have 1 to {MOST_DIMENSIONS} dimensions, not {dimensions}"
            raise ValueError(message)
        self._endpoint = endpoint
        self._asked = dimensions
        # How long the vectors are. 0: nobody has said, and nothing was embedded yet.
        self.dimensions = dimensions or 0
        # What all texts together had, as the endpoint counts.
        self.prompt_tokens = 0
        self._connection = Connection(endpoint, timeout_s)

    @property
    def version(self) -> str:
        """The model's name, and the dimensions it was asked for. It stays the same."""
        return f"{self._endpoint.model}-{self._asked or 'own'}"

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def embed(self, texts: Sequence[str]) -> _Vectors:
        """Give a vector for each text: (texts, dimensions). Its length is 1, or 0 for a blank text: none is sent.

        Texts are sent by the 64, one request after the other.

        Raises:
            BusyEndpointError: HTTP 408, 409, 425, 429 or 5xx, no answer in time, or no connection.
            RefusedRequestError: any other HTTP error.
            WrongAnswerError: the answer has not one vector for each text, all of the length that is expected.

        """
        # Servers refuse blank texts, and what is no Unicode cannot be sent.
        written = [(at, text.encode("utf-8", "replace").decode()) for at, text in enumerate(texts) if text.strip()]
        parts = []
        for start in range(0, len(written), PER_REQUEST):
            part = [text for _, text in written[start : start + PER_REQUEST]]
            parts.append(await self._request(part))
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if parts:
            vectors[[at for at, _ in written]] = np.concatenate(parts)
        return vectors

    async def _request(self, texts: list[str]) -> _Vectors:
        asked: dict[str, Any] = {"model": self._endpoint.model, "input": texts, "encoding_format": "float"}
        if self._asked is not None:
            asked["dimensions"] = self._asked
        async with self._connection.failures_explained():
            create = self._connection.client.embeddings.with_streaming_response.create
            async with create(**asked) as response:
                written = await self._body(response.iter_bytes())
        answer = read(self._endpoint.name, written, len(texts), self.dimensions or None)
        self.prompt_tokens += answer.prompt_tokens
        self.dimensions = answer.vectors.shape[1]
        return answer.vectors

    async def _body(self, chunks: AsyncIterator[bytes]) -> bytes:
        body = bytearray()
        try:
            async for chunk in chunks:
                body += chunk
                if len(body) > MOST_BYTES:
                    break
        except Exception as error:
            # The library explains what fails before the first byte of a body, and not what fails after it.
            if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2"}:
                raise
            raise BusyEndpointError(self._endpoint.name, "the connection broke within an answer") from None
        if len(body) > MOST_BYTES:
            raise WrongAnswerError(self._endpoint.name, "protocol", f"it is larger than {MOST_BYTES} bytes")
        return bytes(body)
