"""Reading the body of a request: no more than is allowed, in no more time than is allowed."""

import asyncio
from collections.abc import Collection
from http import HTTPStatus

from fastapi import Request
from starlette.requests import ClientDisconnect

from connectors.http.problems import Problem

MAX_BODY = 1024 * 1024
JSON = "application/json"


def require(request: Request, kinds: Collection[str]) -> str:
    """Give the media type of the body, which is one of `kinds`.

    Any other is refused, above all those that a web page of another origin may send without asking.

    Raises:
        Problem: it is another one.

    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        detail = f"the Content-Type must be {' or '.join(sorted(kinds))}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", detail)
    return kind


async def read(request: Request, within_s: float) -> bytes:
    """Give the whole body.

    Raises:
        Problem: it is too large, compressed, or did not come within `within_s` seconds.

    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "encoding", "the body must not be compressed")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_BODY:
        raise _too_large()
    found = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for part in request.stream():
                found += part
                if len(found) > MAX_BODY:
                    raise _too_large()
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "slow", f"the body did not come within {within_s:g} s") from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "incomplete", "the connection ended before the body did") from None
    return bytes(found)


def _too_large() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size", f"a body may have {MAX_BODY} bytes: send several smaller ones"
    )
