"""Who is told by webhooks: a server on a real socket that answers as it is told, and keeps what it was sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Told:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers 204, unless `answers` has a status for the next request; `headers` go with each answer."""

    url: str = ""
    told: list[Told] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    # Cleared, nothing is answered until it is set.
    answering: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    # Connections that come at once; with the usual five some of them are reset.
    request_queue_size = 128


@contextmanager
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.told.append(Told(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            made.answering.wait(30)
            self.send_response(made.answers.pop(0) if made.answers else 204)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = _Server(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/hook?token=hush"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.answering.set()
    server.shutdown()
    thread.join()
    server.server_close()
