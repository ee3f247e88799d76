"""`GET /schemas/ids/{id}`: our Avro schemas, as a Confluent registry gives them.

https://docs.confluent.io/platform/current/schema-registry/develop/api.html#get--schemas-ids-int-%20id
"""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from schemas.registry import BY_ID

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
SCHEMA_NOT_FOUND = 40403


def routes() -> APIRouter:
    """Give the route."""
    router = APIRouter(prefix="/schemas")

    @router.get("/ids/{schema_id}")
    async def by_id(schema_id: int) -> JSONResponse:
        """Give the schema that records with this id were written with."""
        version = BY_ID.get(schema_id)
        if version is None:
            body: dict[str, object] = {"error_code": SCHEMA_NOT_FOUND, "message": f"Schema {schema_id} not found"}
            return JSONResponse(body, HTTPStatus.NOT_FOUND, media_type=MEDIA_TYPE)
        return JSONResponse({"schema": version.text}, media_type=MEDIA_TYPE)

    return router
