"""Batches of questions at an endpoint that takes them (OpenAI's Batch API): answered within a day, at half the price.

A batch is a file with a question a line, and comes back as two files, of answers and of errors. What stands in them is
read by models of ours, bounded in size: a line that cannot be used leaves the rest as it is.
"""

import json
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from connectors.closing import Closing
from connectors.llm.completion import Loose, Reply, body, first_wrong, read
from connectors.llm.connection import Connection
from connectors.llm.errors import BusyEndpointError, WrongAnswerError
from connectors.llm.prices import Usage
from connectors.llm.settings import Endpoint

log = logging.getLogger(__name__)

A = TypeVar("A", bound=BaseModel)
L = TypeVar("L", bound=Loose)

URL: Final = "/v1/chat/completions"
# By which of its metadata a batch is known to be ours.
KEY: Final = "tidegate"
# How long an upload or a download may take.
TRANSFER_S = 60.0
# What is read of a file of answers at the most, and of one line.
MOST_BYTES, MOST_LINE = 64 * 2**20, 2**20
# A line that is said to have taken more tokens than that is not to be believed, and their sum could not be stored.
MOST_TOKENS = 2**40
# How far back batches are looked through for one of ours.
PAGES, PAGE = 10, 100
# HTTP's.
_OK = 200

_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked in one line, and by which word its answer is known."""

    key: str
    system: str
    user: str
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Result(Generic[A]):
    """What became of a line: an answer, or none that can be used, or (`is_free`) nothing that would cost anything."""

    key: str
    reply: Reply[A] | None
    usage: Usage
    is_free: bool = False


class Status(Loose):
    """How a batch does."""

    id: _Id
    status: str
    output_file_id: _Id | None = None
    error_file_id: _Id | None = None

    @property
    def ended(self) -> str | None:
        """How it has ended, if it has."""
        return self.status if self.status in {"completed", "failed", "expired", "cancelled"} else None

    @property
    def files(self) -> list[str]:
        """The files with its results."""
        return [file for file in (self.output_file_id, self.error_file_id) if file is not None]


class _File(Loose):
    id: _Id


class _Mine(Loose):
    id: _Id
    metadata: dict[str, Any] | None = None


class _Page(Loose):
    data: tuple[_Mine, ...]
    has_more: bool = False


class _Response(Loose):
    status_code: int
    body: Any = None


class _Line(Loose):
    custom_id: Annotated[str, Field(max_length=200)]
    response: _Response | None = None


class Remote(Closing):
    """One endpoint's batches. Closed with `close` or `async with`; all methods raise what `Connection` explains."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Nothing is sent yet.

        Raises:
            ConnectorError: the endpoint cannot be used (`connectors.llm.connection.Connection`).

        """
        self._endpoint = endpoint
        self._connection = Connection(endpoint, TRANSFER_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def submit(self, key: str, questions: Sequence[Question], answer: type[BaseModel]) -> str:
        """Ask all of them, each for an answer of the type `answer`; give the batch's id there.

        After an error nobody knows whether the batch is there: `find` says.
        """
        written = jsonl(self._endpoint, questions, answer)
        client = self._connection.client
        async with self._connection.failures_explained():
            sent = await client.files.with_raw_response.create(
                file=(f"{KEY}-{key}.jsonl", written, "application/jsonl"), purpose="batch"
            )
            file = self._understood(_File, sent.http_response.content)
            made = await client.batches.with_raw_response.create(
                input_file_id=file.id, endpoint=URL, completion_window="24h", metadata={KEY: key}
            )
            return self._understood(Status, made.http_response.content).id

    async def find(self, key: str) -> str | None:
        """Give the id of the batch that was submitted under this key, if it is there."""
        after: dict[str, str] = {}
        for _ in range(PAGES):
            async with self._connection.failures_explained():
                response = await self._connection.client.batches.with_raw_response.list(limit=PAGE, extra_query=after)
                page = self._understood(_Page, response.http_response.content)
            for one in page.data:
                if (one.metadata or {}).get(KEY) == key:
                    return one.id
            if not page.has_more or not page.data:
                break
            after = {"after": page.data[-1].id}
        return None

    async def look(self, batch: str) -> Status:
        """Ask how a batch does."""
        async with self._connection.failures_explained():
            response = await self._connection.client.batches.with_raw_response.retrieve(batch)
            return self._understood(Status, response.http_response.content)

    async def results(self, file: str, answer: type[A]) -> list[Result[A]]:
        """Read a file of answers or errors, what can be used of it."""
        async with self._connection.failures_explained():
            content = self._connection.client.files.with_streaming_response.content(file)
            async with content as response:
                chunks = self._chunks(response.iter_bytes())
                found = [result(self._endpoint, line, answer) async for line in lines(chunks)]
        return [one for one in found if one is not None]

    async def _chunks(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        except Exception as error:
            # The library explains what fails before the first byte of a body, and not what fails after it.
            if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2"}:
                raise
            raise BusyEndpointError(self._endpoint.name, "the connection broke within a file") from None

    def _understood(self, form: type[L], written: bytes) -> L:
        try:
            return form.model_validate_json(written)
        except ValidationError as error:
            detail = f"what it says of batches is not understood ({first_wrong(error)})"
            raise BusyEndpointError(self._endpoint.name, detail) from None


def jsonl(endpoint: Endpoint, questions: Iterable[Question], answer: type[BaseModel]) -> bytes:
    """Write a file of questions."""
    asked = (
        {
            "custom_id": one.key,
            "method": "POST",
            "url": URL,
            "body": body(endpoint, one.system, one.user, answer, output_tokens=one.output_tokens),
        }
        for one in questions
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in asked)


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a file into lines. One that is too long is left out, and so is all that follows where the file is."""
    line, total = bytearray(), 0
    async for chunk in chunks:
        total += len(chunk)
        if total > MOST_BYTES:
            log.warning("a file of answers is larger than %d MiB: the rest is not read", MOST_BYTES // 2**20)
            return
        first, *others = chunk.split(b"\n")
        _append(line, first)
        for other in others:
            if 0 < len(line) <= MOST_LINE:
                yield bytes(line)
            line.clear()
            _append(line, other)
    if 0 < len(line) <= MOST_LINE:
        yield bytes(line)


def _append(line: bytearray, more: bytes) -> None:
    line += more[: MOST_LINE + 1 - len(line)]


def result(endpoint: Endpoint, line: bytes, answer: type[A]) -> Result[A] | None:
    """Read a line of a file of answers or errors; None where nobody can say which line it answers."""
    try:
        said = _Line.model_validate_json(line)
    except ValidationError:
        return None
    response = said.response
    if response is None or response.status_code != _OK:
        return Result(said.custom_id, None, Usage(), is_free=True)
    try:
        reply = read(endpoint, json.dumps(response.body), answer)
    except WrongAnswerError as error:
        return Result(said.custom_id, None, error.usage if _credible(error.usage) else Usage())
    if not _credible(reply.usage):
        return Result(said.custom_id, None, Usage())
    return Result(said.custom_id, reply, reply.usage)


def _credible(usage: Usage) -> bool:
    return usage.prompt_tokens + usage.completion_tokens < MOST_TOKENS
