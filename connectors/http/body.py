"""Reading the body of a request: no more than is allowed, in no more time than is allowed."""

import asyncio
from http import HTTPStatus

from fastapi import Request
from starlette.requests import ClientDisconnect

from connectors.http.problems import Problem

MAX_BODY = 1024 * 1024


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
