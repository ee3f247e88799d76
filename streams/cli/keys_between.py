"""Keys and the owners of devices, from one region to another: a line of JSON each, in which nothing opens anything."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from connectors.keys import ApiKey, Scope
from connectors.timescale import keys
from connectors.timescale.connection import connect
from schemas.fields import Name
from streams.cli.output import Json, UsageError, show
from streams.settings import load

# So many at once are one transaction.
AT_ONCE: Final = 1000


class _Key(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z2-7]{12}$")]
    tenant: str
    name: str
    scopes: frozenset[Scope]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    per_minute: Annotated[int, Field(ge=1)] | None
    created: AwareDatetime
    expires: AwareDatetime | None
    revoked: AwareDatetime | None


class _Owned(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    device_id: Name
    tenant: Annotated[str, Field(min_length=1)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: _Key | None = None
    device: _Owned | None = None


def export() -> None:
    """Print the keys, by their hashes, and whose devices are whose: for `tidegate keys import` in another region."""
    with connect(load().database, autocommit=True) as connection:
        for key in keys.listed(connection):
            fields = {name: getattr(key, name) for name in _Key.model_fields} | {"hash": key.hash.hex()}
            print(_Line(key=_Key(**fields)).model_dump_json(exclude_unset=True))
        for tenant, device_id in keys.owned(connection):
            print(json.dumps({"device": {"device_id": device_id, "tenant": tenant}}))


def take_over(
    file: Annotated[Path, typer.Argument(help="What `tidegate keys export` printed; - for standard input.")],
    *,
    as_json: Json = False,
) -> None:
    """Take over keys and the owners of devices from another region; what there is here stays as it is.

    A key that was revoked there is revoked here. May be done again and again, every minute, say.
    """
    taken = {"keys": 0, "devices": 0}
    with connect(load().database, autocommit=True) as connection:
        for lines in _chunks(file):
            found = [line.key for line in lines if line.key is not None]
            owners = {line.device.device_id: line.device.tenant for line in lines if line.device is not None}
            keys.adopt(connection, [_kept(key) for key in found], owners, datetime.now(UTC))
            taken["keys"] += len(found)
            taken["devices"] += len(owners)
    show(taken, as_json=as_json)


def _kept(key: _Key) -> ApiKey:
    return ApiKey(**{**dict(key), "hash": bytes.fromhex(key.hash)})


def _chunks(file: Path) -> Iterator[list[_Line]]:
    chunk: list[_Line] = []
    for number, text in enumerate(_texts(file), start=1):
        try:
            chunk.append(_Line.model_validate_json(text))
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise UsageError(f"{file}, line {number}: {place} {error.errors()[0]['msg']}") from None
        if len(chunk) == AT_ONCE:
            yield chunk
            chunk = []
    yield chunk


def _texts(file: Path) -> Iterator[str]:
    if str(file) == "-":
        yield from sys.stdin
        return
    try:
        with file.open(encoding="utf-8") as lines:
            yield from lines
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
