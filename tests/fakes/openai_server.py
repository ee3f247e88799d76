"""A stand-in for an OpenAI-compatible server, run as a process of its own: `python openai_server.py --port 0`.

It prints one JSON line, {"url": "http://127.0.0.1:PORT/v1", "control": "http://127.0.0.1:PORT/control"}, when it
listens, and ends on SIGTERM or, with --until-stdin-closes, with its parent.

How a chat completion is answered: the model's name if that is a behaviour, else the first of the queue, else the
default. Behaviours, "name" or "name:argument":

    ok              an answer made from the JSON schema of the request (or the content set at /control/content)
    slow:S          the same after S seconds
    lognormal:M:T   the same after a time of its own: half of the calls take at most M seconds, 99 in 100 at most T
    drip:S          the same, a byte every S seconds: no single read is slow, the whole is
    429:S           too many requests, with Retry-After: S (any text); without S no header
    left:N:S        ok, and x-ratelimit-… say that N of 60 requests are left, and that all will be back after S
    NNN             another HTTP error, with the API key repeated in its message and as its code
    hang            never answers
    reset           closes the connection instead of answering
    cut             closes the connection in the middle of the body
    garbage         200 with a body that is no JSON
    empty           no choices
    refusal         the model refuses
    filtered        finish_reason content_filter
    truncated       finish_reason length, content cut in the middle
    truncated-json  finish_reason stop, content cut in the middle
    wrong-schema    JSON that does not fit the schema
    partial         answers every second window only
    twice           answers the first window twice, and one that nobody asked about
    spoilt          the first answer does not fit the schema, the others do
    no-usage        ok, without usage
    odd-usage       ok, with more tokens than a long can hold

With `"stream": true` the same answer comes as server-sent events, the content some letters at a time, usage only if
`stream_options` ask for it; `drip` waits before each event.

Tokens are bytes: usage says ceil(UTF-8 bytes of the messages' contents / 4) and ceil(bytes of the content / 4).

Answers are cut off after max_completion_tokens or max_tokens.

POST /v1/embeddings gives vectors, the last text's first; the model's name may be a behaviour that fits: an error, slow,
drip, hang, reset, cut or garbage.

Files and batches: POST /v1/files takes lines, POST /v1/batches makes a batch of them, GET /v1/batches lists them, the
newest first. A batch goes on when it is looked at (GET /v1/batches/ID), as PUT /control/batches {"behaviour": …} says:

    complete        each line is answered as a chat completion would be, by the same behaviours; what those turn away
                    goes to the file of errors, "garbage" writes a line that is no JSON, "lose" none
    fail            it fails, without any file
    expire          it expires: the first half of the lines is answered
    hang            it stays in progress

Control: GET and DELETE /control/requests (each has the Unix times `at` and `until`, and its `usage`), PUT
/control/default {"behaviour": …}, PUT /control/queue {"behaviours": […]}, PUT /control/content {"content": …}, PUT
/control/models {"models": […], "status": …}: what GET /v1/models answers; GET /control/batches: the lines of each.
"""

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import json
import math
import random
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

Json = dict[str, Any]

NAMES = frozenset(
    {"ok", "slow", "lognormal", "drip", "hang", "reset", "cut", "garbage", "empty", "refusal", "filtered"}
    | {
        "lose",
        "left",
        "truncated",
        "truncated-json",
        "wrong-schema",
        "no-usage",
        "odd-usage",
        "partial",
        "twice",
        "spoilt",
    }
)
VECTOR = 16
# 99 of 100 draws from the standard normal distribution are below this.
NORMAL_99 = 2.3263
BYTES_PER_TOKEN = 4
LETTERS_PER_EVENT = 16


@dataclass
class Response:
    """What is sent, and how."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    drip_s: float = 0.0
    # How much of the body is sent before the connection is closed; None sends all of it.
    cut: int | None = None
    # Of what parts the body is made, where it is a stream of events.
    events: list[bytes] | None = None

    @classmethod
    def of(cls, content: object, status: int = 200) -> "Response":
        return cls(status, json.dumps(content).encode())


# An answer is still to be made.
OK = Response()


def is_behaviour(text: str) -> bool:
    name = text.partition(":")[0]
    return name in NAMES or (name.isdigit() and name in {str(int(status)) for status in HTTPStatus if status >= 400})


def tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)


def example(schema: Json, root: Json) -> object:
    """Make the plainest value that fits a JSON schema."""
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return example(target, root)
    if "anyOf" in schema:
        return example(schema["anyOf"][0], root)
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        return {name: example(each, root) for name, each in schema["properties"].items()}
    if schema["type"] == "array":
        return [example(schema["items"], root) for _ in range(schema.get("minItems", 1))]
    least = schema.get("minimum", 0)
    plain = {"integer": least, "number": least, "boolean": True, "null": None, "string": "stand-in text"}
    return plain[schema["type"]]


def by_window(content: object, asked: Json, behaviour: str) -> object:
    """Where a list of numbered answers is asked for, give one to each window of the prompt."""
    if not isinstance(content, dict) or not isinstance(content.get("answers"), list):
        return content
    (plain,) = content["answers"]
    numbers = [int(n) for n in re.findall(r'^\{"n":(\d+)', str(asked["messages"][-1]["content"]), re.MULTILINE)]
    match behaviour:
        case "partial":
            numbers = numbers[::2]
        case "twice":
            numbers = [*numbers, numbers[0], max(numbers) + 1]
    answers = [plain | {"n": n} for n in numbers]
    if behaviour == "spoilt":
        answers[0] = answers[0] | {"severity": "terrible"}
    return content | {"answers": answers}


def events(completion: Json, *, usage: bool) -> list[bytes]:
    """Cut a completion into the events of a stream."""
    common = {name: completion[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    deltas: list[tuple[Json, str | None]] = []
    for choice in completion["choices"]:
        message = choice["message"]
        field_ = "content" if message["content"] is not None else "refusal"
        text = message[field_]
        deltas.append(({"role": "assistant", field_: ""}, None))
        pieces = (text[at : at + LETTERS_PER_EVENT] for at in range(0, len(text), LETTERS_PER_EVENT))
        deltas.extend(({field_: piece}, None) for piece in pieces)
        deltas.append(({}, choice["finish_reason"]))
    chunks: list[Json] = [
        common | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas
    ]
    if usage and "usage" in completion:
        chunks.append(common | {"choices": [], "usage": completion["usage"]})
    return [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]


def streamed(completion: Json, asked: Json) -> Response:
    made = events(completion, usage=bool((asked.get("stream_options") or {}).get("include_usage")))
    return Response(body=b"".join(made), headers={"content-type": "text/event-stream"}, events=made)


def uploaded(headers: dict[str, str], body: bytes) -> tuple[str, bytes]:
    """Take a form with a purpose and a file apart."""
    boundary = headers["content-type"].partition("boundary=")[2].strip('"').encode()
    fields: dict[str, bytes] = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if found := re.search(rb'name="(\w+)"', head):
            fields[found[1].decode()] = content.removesuffix(b"\r\n")
    return fields["purpose"].decode(), fields["file"]


class Batches:
    """Files and batches of them; `complete` answers the body of a line."""

    def __init__(self, complete: Callable[[Json, dict[str, str]], "Response | None"]) -> None:
        self.complete = complete
        self.behaviour = "complete"
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Json] = {}

    def route(self, method: str, path: str, headers: dict[str, str], record: Json) -> "Response | None":
        parts = path.partition("?")[0].removeprefix("/v1/").split("/")
        match method, parts:
            case "POST", ["files"]:
                purpose, content = record["form"]
                return Response.of({"id": self.keep(content), "object": "file", "purpose": purpose})
            case "GET", ["files", file, "content"] if file in self.files:
                return Response(body=self.files[file], headers={"content-type": "application/octet-stream"})
            case "POST", ["batches"]:
                return self.make(record["body"])
            case "GET", ["batches"]:
                return self.listed({name: values[0] for name, values in parse_qs(path.partition("?")[2]).items()})
            case "GET", ["batches", batch] if batch in self.batches:
                self.go_on(self.batches[batch], headers)
                return Response.of(self.batches[batch])
        return None

    def listed(self, query: dict[str, str]) -> "Response":
        newest = [*self.batches.values()][::-1]
        start = 1 + [one["id"] for one in newest].index(query["after"]) if "after" in query else 0
        end = start + int(query.get("limit", 20))
        return Response.of({"object": "list", "data": newest[start:end], "has_more": end < len(newest)})

    def keep(self, content: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    def make(self, asked: Json) -> "Response":
        wanted = {"input_file_id", "endpoint", "completion_window", "metadata"}
        if set(asked) != wanted or asked["input_file_id"] not in self.files or asked["completion_window"] != "24h":
            return Response.of({"error": {"message": "no such batch", "code": "invalid_request"}}, 400)
        made = {"id": f"batch_{len(self.batches) + 1}", "object": "batch", "status": "validating", **asked}
        self.batches[made["id"]] = made
        return Response.of(made)

    def go_on(self, batch: Json, headers: dict[str, str]) -> None:
        if batch["status"] not in {"validating", "in_progress"}:
            return
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        match self.behaviour:
            case "hang":
                batch["status"] = "in_progress"
            case "fail":
                batch["status"] = "failed"
            case "expire":
                self.answer(batch, lines[: len(lines) // 2], headers)
                batch["status"] = "expired"
            case _:
                self.answer(batch, lines, headers)
                batch["status"] = "completed"

    def answer(self, batch: Json, lines: list[Json], headers: dict[str, str]) -> None:
        written: dict[str, list[bytes]] = {"output_file_id": [], "error_file_id": []}
        for line in reversed(lines):  # in any order
            record: Json = {"body": line["body"]}
            response = self.complete(record, headers)
            if response is None or record["behaviour"] == "lose":
                continue
            said = response.body
            if record["behaviour"] != "garbage":
                answer = {"status_code": response.status, "body": json.loads(response.body)}
                said = json.dumps({"id": "x", "custom_id": line["custom_id"], "response": answer}).encode()
            written["output_file_id" if response.status == HTTPStatus.OK else "error_file_id"].append(said)
        for name, content in written.items():
            if content:
                batch[name] = self.keep(b"\n".join(content) + b"\n")


class Reader(asyncio.StreamReader):
    """A reader that tells when the client has gone, without taking a byte."""

    def __init__(self) -> None:
        super().__init__(limit=2**24)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


class Server:
    """The endpoint and its control."""

    def __init__(self) -> None:
        self.requests: list[Json] = []
        self.default = "ok"
        self.queue: deque[str] = deque()
        self.content: str | None = None
        self.models = ["stand-in"]
        self.models_status = 200
        self.ids = itertools.count(1)
        self.batches = Batches(self.complete)
        self.dice = random.Random(1)  # noqa: S311  # latencies, the same in every run, and no secrets

    async def serve(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it closes."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self.exchange(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def exchange(self, reader: Reader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; say whether the connection can be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        record: Json = {
            "method": method,
            "path": path,
            "headers": headers,
            "at": time.time(),
            "until": None,
            "ended": None,
        }
        response = self.route(method, path, headers, body, record)
        gone = asyncio.ensure_future(reader.gone.wait())
        sending = asyncio.ensure_future(self.send(writer, response))
        await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        record["until"] = time.time()
        record["ended"] = "answered" if sending.done() else "disconnected"
        reusable = sending.done() and sending.result()
        for task in (gone, sending):
            task.cancel()
        await asyncio.wait({gone, sending})
        return reusable

    async def send(self, writer: asyncio.StreamWriter, response: Response | None) -> bool:
        if response is None:
            await asyncio.Event().wait()
            return False
        await asyncio.sleep(response.wait_s)
        if response.status == 0:
            return False
        head = {"content-type": "application/json", **response.headers, "content-length": str(len(response.body))}
        phrase = HTTPStatus(response.status).phrase
        lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        body = response.body if response.cut is None else response.body[: response.cut]
        pieces = [body]
        if response.drip_s:
            pieces = response.events or [body[at : at + 1] for at in range(len(body))]
        for piece in pieces:
            await asyncio.sleep(response.drip_s)
            writer.write(piece)
            await writer.drain()
        return response.cut is None

    def route(self, method: str, path: str, headers: dict[str, str], body: bytes, record: Json) -> Response | None:
        if path.startswith("/control/"):
            return self.control(method, path.removeprefix("/control/"), body)
        self.requests.append(record)
        if (method, path) == ("POST", "/v1/files"):
            record["form"], body = uploaded(headers, body), b""
        try:
            record["body"] = json.loads(body) if body else None
        except ValueError:
            return self.error(400, "the body is no JSON", headers)
        match method, path:
            case "POST", "/v1/chat/completions":
                return self.complete(record, headers)
            case "POST", "/v1/embeddings":
                return self.embed(record["body"], headers)
            case "GET", "/v1/models":
                return self.listed(headers)
        return self.batches.route(method, path, headers, record) or self.error(404, "no such path", headers)

    def control(self, method: str, what: str, body: bytes) -> Response:
        given = json.loads(body) if body else {}
        match method, what:
            case "GET", "requests":
                shown = ({name: one[name] for name in one if name != "form"} for one in self.requests)
                return Response.of(list(shown))
            case "GET", "batches":
                lines = {
                    batch["id"]: [json.loads(line) for line in self.batches.files[batch["input_file_id"]].splitlines()]
                    for batch in self.batches.batches.values()
                }
                return Response.of(lines)
            case "DELETE", "batches":
                self.batches = Batches(self.complete)
            case "PUT", "batches" if given["behaviour"] in {"complete", "fail", "expire", "hang"}:
                self.batches.behaviour = given["behaviour"]
            case "DELETE", "requests":
                self.requests.clear()
            case "PUT", "default" if is_behaviour(given["behaviour"]):
                self.default = given["behaviour"]
            case "PUT", "queue" if all(map(is_behaviour, given["behaviours"])):
                self.queue = deque(given["behaviours"])
            case "PUT", "content":
                self.content = given["content"]
            case "PUT", "models":
                self.models, self.models_status = given["models"], given["status"]
            case _:
                return Response.of({"error": f"not understood: {method} {what} {given}"}, 400)
        return Response.of({})

    def complete(self, record: Json, headers: dict[str, str]) -> Response | None:
        asked: Json = record["body"]
        behaviour = asked["model"] if is_behaviour(asked["model"]) else self.queued()
        record["behaviour"] = behaviour
        name, _, argument = behaviour.partition(":")
        if (trouble := self.trouble(name, argument, headers)) is not OK:
            return trouble
        completion = self.completion(name, asked)
        record["usage"] = completion.get("usage")
        response = streamed(completion, asked) if asked.get("stream") else Response.of(completion)
        self.shape(response, name, argument)
        return response

    def trouble(self, name: str, argument: str, headers: dict[str, str]) -> Response | None:
        """Give what comes in place of an answer, or OK where one is to be made."""
        if name.isdigit():
            response = self.error(int(name), "the server was told to fail", headers)
            if argument:
                response.headers["retry-after"] = argument
            return response
        match name:
            case "hang":
                return None
            case "reset":
                return Response(status=0)
            case "garbage":
                return Response(body=b"<html>Bad gateway?</html>")
        return OK

    def shape(self, response: Response, name: str, argument: str) -> None:
        match name:
            case "slow":
                response.wait_s = float(argument)
            case "left":
                left, _, full_s = argument.partition(":")
                values = {"limit": "60", "remaining": left, "reset": full_s}
                response.headers |= {f"x-ratelimit-{kind}-requests": value for kind, value in values.items()}
            case "lognormal":
                median, tail = map(float, argument.split(":"))
                response.wait_s = self.dice.lognormvariate(math.log(median), math.log(tail / median) / NORMAL_99)
            case "drip":
                response.drip_s = float(argument)
            case "cut":
                response.cut = len(response.body) // 2

    def listed(self, headers: dict[str, str]) -> Response:
        if self.models_status != HTTPStatus.OK:
            return self.error(self.models_status, "the server was told to fail", headers)
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in self.models]
        return Response.of({"object": "list", "data": models})

    def queued(self) -> str:
        return self.queue.popleft() if self.queue else self.default

    def completion(self, name: str, asked: Json) -> Json:
        content: str | None = self.answer(asked, name)
        finish, refusal = "stop", None
        match name:
            case "refusal":
                content, refusal = None, "I cannot help with that."
            case "filtered":
                content, finish = None, "content_filter"
            case "truncated":
                content, finish = (content or "")[: len(content or "") // 2], "length"
            case "truncated-json":
                content = (content or "")[: len(content or "") // 2]
            case "wrong-schema":
                content = json.dumps({"unexpected": str(asked["messages"][-1]["content"])[:40]})
        most = asked.get("max_completion_tokens", asked.get("max_tokens"))
        if content is not None and most is not None and tokens(len(content.encode())) > most:
            content, finish = content.encode()[: most * BYTES_PER_TOKEN].decode(errors="ignore"), "length"
        sent = sum(len(str(message["content"]).encode()) for message in asked["messages"])
        message = {"role": "assistant", "content": content, "refusal": refusal}
        usage = {"prompt_tokens": tokens(sent), "completion_tokens": tokens(len((content or refusal or "").encode()))}
        if name == "odd-usage":
            usage["prompt_tokens"] = 2**63
        usage["total_tokens"] = sum(usage.values())
        completion: Json = {
            "id": f"chatcmpl-{next(self.ids)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": f"{asked['model']}-stand-in",
            "choices": [] if name == "empty" else [{"index": 0, "message": message, "finish_reason": finish}],
        }
        return completion if name == "no-usage" else completion | {"usage": usage}

    def answer(self, asked: Json, name: str) -> str:
        if self.content is not None:
            return self.content
        form = asked.get("response_format") or {}
        if form.get("type") == "json_schema":
            schema = form["json_schema"]["schema"]
            return json.dumps(by_window(example(schema, schema), asked, name))
        return "{}" if form.get("type") == "json_object" else "stand-in text"

    def embed(self, asked: Json, headers: dict[str, str]) -> Response | None:
        """Give each text the unit vector that its SHA-256 makes: equal texts have equal vectors, nothing more."""
        name, _, argument = asked["model"].partition(":")
        if is_behaviour(asked["model"]) and (trouble := self.trouble(name, argument, headers)) is not OK:
            return trouble
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        length = asked.get("dimensions", VECTOR)
        data = [
            {"object": "embedding", "index": at, "embedding": vector(text, length)} for at, text in enumerate(texts)
        ]
        spent = tokens(sum(len(text.encode()) for text in texts))
        usage = {"prompt_tokens": spent, "total_tokens": spent}
        response = Response.of({"object": "list", "model": asked["model"], "data": data[::-1], "usage": usage})
        self.shape(response, name, argument)
        return response

    def error(self, status: int, message: str, headers: dict[str, str]) -> Response:
        # Servers do repeat the key in an error.
        key = headers.get("authorization", "").removeprefix("Bearer ")
        text = f"{message} (authorization: {key})"
        code = "rate_limit_exceeded" if status == HTTPStatus.TOO_MANY_REQUESTS else key
        return Response.of({"error": {"message": text, "type": "stand_in", "param": None, "code": code}}, status)


def vector(text: str, dimensions: int = VECTOR) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    raw = [byte - 127.5 for byte in itertools.islice(itertools.cycle(digest), dimensions)]
    length = sum(each * each for each in raw) ** 0.5
    return [each / length for each in raw]


async def main(port: int, *, until_stdin_closes: bool) -> None:
    server = Server()
    loop = asyncio.get_running_loop()

    def connection() -> asyncio.StreamReaderProtocol:
        reader = Reader()
        return asyncio.StreamReaderProtocol(reader, lambda _, writer: server.serve(reader, writer))

    listener = await loop.create_server(connection, "127.0.0.1", port)
    address = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        stdin = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        parent = asyncio.ensure_future(stdin.read())
        parent.add_done_callback(lambda _: stop.set())
    sys.stdout.write(json.dumps({"url": f"{address}/v1", "control": f"{address}/control"}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    listener.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A stand-in for an OpenAI-compatible server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--until-stdin-closes", action="store_true")
    arguments = parser.parse_args()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main(arguments.port, until_stdin_closes=arguments.until_stdin_closes))
