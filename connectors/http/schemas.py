"""`/schemas` and `/subjects`: our Avro schemas, as a Confluent registry gives them, for stock clients of our topics.

Read only: registering a schema that is ours gives its id, as serializers want it; any other is refused.
https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from connectors.http import body, registry
from connectors.http.parts import Parts
from connectors.http.registry import READ_ONLY, SCHEMA_NOT_FOUND, RegistryError
from schemas.registry import of_wire_id
from schemas.topics import SUBJECTS

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
KINDS: Final = frozenset({MEDIA_TYPE, "application/vnd.schemaregistry+json", body.JSON})
LEVEL: Final = "BACKWARD"


def explain(_request: Request, error: Exception) -> Response:
    """Say what is wrong, as a registry does."""
    assert isinstance(error, RegistryError)  # noqa: S101  # handlers are chosen by the type
    content = {"error_code": error.code, "message": error.message}
    return JSONResponse(content, HTTPStatus(error.code // 100), media_type=MEDIA_TYPE)


def routes(parts: Parts) -> APIRouter:
    """Give the routes."""
    router = APIRouter()
    router.include_router(_by_id())
    router.include_router(_by_subject())
    router.include_router(_of_clients(parts))
    return router


def _by_id() -> APIRouter:
    router = APIRouter(prefix="/schemas")

    @router.get("/types")
    async def types() -> JSONResponse:
        """List the kinds of schemas."""
        return _answer(["AVRO"])

    @router.get("/ids/{schema_id}")
    async def by_id(schema_id: int) -> JSONResponse:
        """Give the schema that records with this id were written with."""
        version = of_wire_id(schema_id)
        if version is None:
            raise _no_schema(schema_id)
        return _answer({"schema": version.text})

    @router.get("/ids/{schema_id}/versions")
    async def uses(schema_id: int) -> JSONResponse:
        """Say which subjects have the schema with this id."""
        found = [
            {"subject": subject, "version": version.version}
            for subject, versions in SUBJECTS.items()
            for version in versions
            if schema_id in {version.id, version.wire_id}
        ]
        if not found:
            raise _no_schema(schema_id)
        return _answer(found)

    return router


def _by_subject() -> APIRouter:
    router = APIRouter()

    @router.get("/subjects")
    async def subjects() -> JSONResponse:
        """List the subjects."""
        return _answer(list(SUBJECTS))

    @router.get("/subjects/{subject}/versions")
    async def versions(subject: str) -> JSONResponse:
        """List the versions of a subject."""
        return _answer([version.version for version in registry.versions(subject)])

    @router.get("/subjects/{subject}/versions/{version}")
    async def by_version(subject: str, version: str) -> JSONResponse:
        """Give one version of a subject, or the `latest`."""
        return _answer(registry.described(subject, registry.version(subject, version)))

    @router.get("/config")
    @router.get("/config/{subject}")
    async def config(subject: str = "") -> JSONResponse:
        """Say what a new version must be able to do, of whatever subject."""
        del subject
        return _answer({"compatibilityLevel": LEVEL})

    return router


def _of_clients(parts: Parts) -> APIRouter:
    router = APIRouter()

    async def given(http: Request) -> object:
        body.require(http, KINDS)
        return registry.parse(await body.read(http, parts.body_s))

    @router.post("/subjects/{subject}")
    async def find(subject: str, http: Request) -> JSONResponse:
        """Find a schema among the versions of a subject."""
        return _answer(registry.described(subject, registry.same(subject, await given(http))))

    @router.post("/subjects/{subject}/versions")
    async def register(subject: str, http: Request) -> JSONResponse:
        """Give the id of a schema that is one of the subject's; others are not taken."""
        registry.versions(subject)
        try:
            return _answer({"id": registry.same(subject, await given(http)).wire_id})
        except RegistryError as error:
            if error.code != SCHEMA_NOT_FOUND:
                raise
            raise RegistryError(READ_ONLY, "The subject is read only, and this is no schema of it") from None

    @router.post("/compatibility/subjects/{subject}/versions/{version}")
    async def compatible(subject: str, version: str, http: Request) -> JSONResponse:
        """Say whether a schema can read what was written with a version of a subject."""
        wrong = registry.incompatible(registry.version(subject, version), await given(http))
        return _answer({"is_compatible": not wrong, "messages": wrong})

    return router


def _no_schema(schema_id: int) -> RegistryError:
    return RegistryError(SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")


def _answer(content: object) -> JSONResponse:
    return JSONResponse(content, media_type=MEDIA_TYPE)
