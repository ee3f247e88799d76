"""What a client is told when something is wrong: `{"error": a word to act on, "detail": a sentence}`, and no more."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from connectors.errors import ConnectorError, SlowDownError
from connectors.http.security import JSON_HEADERS
from schemas.errors import TidegateError

log = logging.getLogger(__name__)

# When a client should try again: a queue empties in a second; a server that is away takes longer.
BUSY_S = 1
AWAY_S = 5


class Problem(TidegateError):  # noqa: N818  # RFC 9457's name for what a client is told
    """A request that cannot be answered as asked."""

    def __init__(
        self,
        status: HTTPStatus,
        error: str,
        detail: str,
        *,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        """`more` are further fields of the body."""
        self.status = status
        self.body = {"error": error, "detail": detail, **more}
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)
        super().__init__(f"{error}: {detail}")


def install(app: FastAPI) -> None:
    """Make every error of this application look the same."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(SlowDownError, _busy)
    app.add_exception_handler(ConnectorError, _away)
    app.add_exception_handler(Exception, _unforeseen)


def _answer(status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(body, status, dict(headers or {}))


def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  # handlers are chosen by the type; this tells the type checker
    return _answer(error.status, error.body, error.headers)


def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # as above
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": "invalid", "detail": f"{where}: {first['msg']}"})


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # as above
    status = HTTPStatus(error.status_code)
    word = status.phrase.lower().replace(" ", "_")
    return _answer(status, {"error": word, "detail": status.description or status.phrase}, error.headers)


def _busy(_request: Request, error: Exception) -> Response:
    return _answer(
        HTTPStatus.SERVICE_UNAVAILABLE, {"error": "busy", "detail": str(error)}, {"Retry-After": str(BUSY_S)}
    )


def _away(_request: Request, error: Exception) -> Response:
    # The log says where it was looked for; a client learns no addresses.
    log.warning("%s", error)
    return _answer(
        HTTPStatus.SERVICE_UNAVAILABLE,
        {"error": "unavailable", "detail": "a system behind the gateway does not answer; /readyz says which"},
        {"Retry-After": str(AWAY_S)},
    )


def _unforeseen(_request: Request, _error: Exception) -> Response:
    # It is raised again behind this answer, and logged. This answer passes no middleware: it brings the headers itself.
    return _answer(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        {"error": "internal", "detail": "an error in the gateway; its log has the details"},
        JSON_HEADERS,
    )
