"""Put our schemas into a Confluent schema registry under the ids that our records carry. Can be repeated.

A subject is opened for import, given each version with its id, and closed again:
https://docs.confluent.io/platform/current/schema-registry/develop/api.html#mode
"""  # noqa: INP001  # a program of the image, not part of the package

import json
import sys
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from schemas.registry import PUBLISHED, SchemaVersion
from schemas.topics import TOPICS

TIMEOUT_S = 20.0


class DisagreementError(Exception):
    """The registry knows another schema, or another id, under the same subject and version."""


def call(registry: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  # JSON
    """Ask the registry; None means that it knows no such thing."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = Request(registry.rstrip("/") + path, data, headers, method=method)  # noqa: S310  # main() checks the scheme
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310  # the same
            return json.load(response)
    except HTTPError as error:
        with error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            detail = error.read().decode(errors="replace")
        raise URLError(f"{method} {path}: {error.code} {detail}") from None


def versions() -> list[tuple[str, SchemaVersion]]:
    """Give each subject (as stock serializers name it: the topic, `-value`) with each version of its schema."""
    return [(f"{t.name}-value", v) for t in TOPICS for v in PUBLISHED if v.name == t.schema.name]


def register(registry: str, subject: str, version: SchemaVersion) -> bool:
    """Register one version; say whether it was new.

    Raises:
        DisagreementError: something else is registered there.

    """
    known = call(registry, "GET", f"/subjects/{subject}/versions/{version.version}")
    if known is not None:
        if known["id"] != version.id or json.loads(known["schema"]) != json.loads(version.text):
            raise DisagreementError(
                f"{subject} version {version.version} is another schema there, with id {known['id']} for {version.id}"
            )
        return False
    # By force: a subject that already has a version is not opened otherwise.
    call(registry, "PUT", f"/mode/{subject}?force=true", {"mode": "IMPORT"})
    try:
        body = {"schema": version.text, "schemaType": "AVRO", "id": version.id, "version": version.version}
        call(registry, "POST", f"/subjects/{subject}/versions", body)
    finally:
        call(registry, "PUT", f"/mode/{subject}", {"mode": "READWRITE"})
    return True


def main(arguments: list[str]) -> int:
    """Register everything at the address given."""
    if len(arguments) != 1 or not arguments[0].startswith(("http://", "https://")):
        sys.stderr.write("usage: register_schemas.py http://REGISTRY:8081\n")
        return 2
    try:
        for subject, version in versions():
            new = register(arguments[0], subject, version)
            said = "registered" if new else "already there"
            sys.stdout.write(f"{subject} version {version.version}: id {version.id}, {said}\n")
    except (DisagreementError, OSError) as error:
        sys.stderr.write(f"The schemas are not (all) registered at {arguments[0]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
