"""Reading the body of a request: no more than is allowed, in no more time than is allowed, packed with gzip or not."""

import asyncio
import zlib
from collections.abc import Collection
from http import HTTPStatus

from fastapi import Request
from starlette.requests import ClientDisconnect

from connectors.http.problems import Problem

# As it is sent, and as it is when it is unpacked.
MAX_BODY = 1024 * 1024
MAX_UNPACKED = 8 * MAX_BODY
GZIP = frozenset({"gzip", "x-gzip"})
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
        Problem: it is too large, packed otherwise than by gzip, or did not come within `within_s` seconds.

    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {*GZIP, "identity"}:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "encoding", "the Content-Encoding may be gzip")
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
    return unpacked(bytes(found)) if encoding in GZIP else bytes(found)


def unpacked(packed: bytes) -> bytes:
    """Give what a body of gzip (RFC 1952) holds: one member, or several, one behind the other.

    Raises:
        Problem: it is no gzip, or holds more than `MAX_UNPACKED`.

    """
    found = bytearray()
    while packed:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            found += member.decompress(packed, MAX_UNPACKED + 1 - len(found))
        except zlib.error as error:
            raise Problem(HTTPStatus.BAD_REQUEST, "encoding", f"the body is no gzip: {error}") from error
        if len(found) > MAX_UNPACKED:
            raise _too_large(MAX_UNPACKED, "unpacked, ")
        if not member.eof:
            raise Problem(HTTPStatus.BAD_REQUEST, "encoding", "the body ends within its gzip")
        packed = member.unused_data
    return bytes(found)


def _too_large(most: int = MAX_BODY, how: str = "") -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size", f"{how}a body may have {most} bytes: send several smaller ones"
    )
