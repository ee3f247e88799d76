"""`POST /v1/insights/{id}/feedback`: whether an insight is right, as people see it."""

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.http import body
from connectors.http.access import Caller
from connectors.http.doors import Doors
from connectors.http.parts import Parts
from connectors.http.problems import Problem
from connectors.keys import Scope
from schemas.fields import Storable

MOST_LETTERS: Final = 1_000


class Feedback(BaseModel):
    """What somebody says of an insight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["right", "wrong"]
    note: Annotated[Storable, Field(max_length=MOST_LETTERS)] = ""


_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {body.JSON: {"schema": Feedback.model_json_schema()}}}
}


def routes(parts: Parts, doors: Doors) -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/v1/insights")
    may_ask = doors.access.needs(Scope.ASK)

    @router.post("/{insight_id}/feedback", openapi_extra=_BODY)
    async def say(http: Request, caller: Annotated[Caller, Depends(may_ask)], insight_id: UUID) -> JSONResponse:
        """Say that an insight is right, or wrong: then its answer is kept no longer, and models are asked anew."""
        body.require(http, {body.JSON})
        said = _read(await body.read(http, parts.body_s))
        tenant = None if parts.remarks is None else await parts.remarks.tenant_of(str(insight_id))
        if parts.remarks is None or tenant is None or not caller.sees(tenant):
            raise Problem(HTTPStatus.NOT_FOUND, "unknown", "there is no such insight")
        await parts.remarks.say(str(insight_id), said.verdict, said.note, caller.key_id or "anyone")
        return JSONResponse({"insight_id": str(insight_id), "verdict": said.verdict})

    return router


def _read(content: bytes) -> Feedback:
    try:
        return Feedback.model_validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ascii(".".join(map(str, first["loc"])))[1:-1][:120] or "body"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", f"{where}: {first['msg']}") from error
