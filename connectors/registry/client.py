"""Registers our schemas with a registry, and learns the ids that it has given them.

The API: https://docs.confluent.io/platform/current/schema-registry/develop/api.html
"""

import json
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2

from connectors.errors import ConnectorError, UnreachableError
from connectors.registry.settings import RegistrySettings
from schemas.registry import SchemaVersion

SETTING: Final = "TIDEGATE_REGISTRY__URL"
KIND: Final = "application/vnd.schemaregistry.v1+json"


class Registry:
    """One registry. Its methods raise `UnreachableError` where it does not answer, and `ConnectorError`."""

    def __init__(self, settings: RegistrySettings) -> None:
        """Nothing is connected yet.

        Raises:
            ConnectorError: its certificate authority cannot be read.

        """
        self._settings = settings
        try:
            trusted = ssl.create_default_context(cafile=settings.ca_file or None)
        except OSError as error:
            raise ConnectorError(f"TIDEGATE_REGISTRY__CA_FILE: {settings.ca_file}: {error.strerror}") from None
        password = settings.password.get_secret_value()
        self._client = httpx2.Client(
            base_url=settings.url,
            auth=(settings.username, password) if settings.username or password else None,
            headers={"content-type": KIND, "accept": f"{KIND}, application/json"},
            timeout=settings.timeout_s,
            verify=trusted,
        )

    def ids(self, subjects: Mapping[str, Sequence[SchemaVersion]]) -> dict[int, int]:
        """Give the registry's id of each version by ours; versions that it does not have are registered, oldest first.

        Raises:
            ConnectorError: the registry refuses one, because it is not compatible with what is there or because the
                settings do not allow to register it; or one schema has different ids in different subjects.

        """
        found: dict[int, int] = {}
        for subject, versions in subjects.items():
            for version in versions:
                theirs = self._find(subject, version)
                if theirs is None:
                    theirs = self._register(subject, version)
                if found.setdefault(version.id, theirs) != theirs:
                    raise ConnectorError(f"The registry has two ids for {version.name}, version {version.version}.")
        return found

    def missing(self, subjects: Mapping[str, Sequence[SchemaVersion]]) -> list[str]:
        """Name the versions that the registry does not have; registers nothing."""
        return [
            f"{subject} version {version.version}"
            for subject, versions in subjects.items()
            for version in versions
            if self._find(subject, version) is None
        ]

    def strangers(self, subject: str, known: Sequence[int]) -> list[int]:
        """Give the ids of versions of a subject that are none of these."""
        status, numbers = self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions")
        if status != HTTPStatus.OK:
            raise self._refused(f"the versions of {subject}", status, numbers)
        ids = [
            int(self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions/{int(number)}")[1]["id"])
            for number in numbers
        ]
        return [one for one in ids if one not in known]

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, subject: str, version: SchemaVersion) -> int | None:
        status, answer = self._ask("POST", f"/subjects/{quote(subject, safe='')}", version)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status != HTTPStatus.OK:
            raise self._refused(f"{subject}, version {version.version}", status, answer)
        return self._id(answer)

    def _register(self, subject: str, version: SchemaVersion) -> int:
        what = f"{subject}, version {version.version}"
        if not self._settings.auto_register:
            raise ConnectorError(
                f"The registry at {self._settings.url} does not have {what} (schemas/avro/{version.name}.v"
                f"{version.version}.avsc). Register it there, or set TIDEGATE_REGISTRY__AUTO_REGISTER=true."
            )
        status, answer = self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", version)
        if status == HTTPStatus.CONFLICT:
            raise ConnectorError(
                f"The registry at {self._settings.url} refuses {what}: it is not compatible with what is registered"
                f" there ({_message(answer)}). Somebody else's schema has this subject: move it, or leave {SETTING}"
                " away; the gateway answers as a registry for our topics."
            )
        if status != HTTPStatus.OK:
            raise self._refused(what, status, answer)
        return self._id(answer)

    def _id(self, answer: Any) -> int:  # noqa: ANN401  # JSON
        try:
            return int(answer["id"])
        except (KeyError, TypeError, ValueError):
            raise ConnectorError(f"What answers at {self._settings.url} ({SETTING}) is no schema registry.") from None

    def _refused(self, what: str, status: int, answer: Any) -> ConnectorError:  # noqa: ANN401  # JSON
        cure = ""
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            cure = " Its user and password are TIDEGATE_REGISTRY__USERNAME and …__PASSWORD."
        if status == HTTPStatus.NOT_FOUND:
            cure = f" Is {SETTING} the address of its API? Apicurio's ends with /apis/ccompat/v7."
        return ConnectorError(
            f"The registry at {self._settings.url} answered {status} to {what} ({_message(answer)}).{cure}"
        )

    def _ask(self, method: str, path: str, version: SchemaVersion | None = None) -> tuple[int, Any]:
        content = None if version is None else json.dumps({"schema": version.text}).encode()
        try:
            answer = self._client.request(method, path, content=content)
        except httpx2.HTTPError as error:
            detail = str(error) or type(error).__name__
            raise UnreachableError("The schema registry", self._settings.url, SETTING, detail) from None
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            detail = f"it answered {answer.status_code}"
            raise UnreachableError("The schema registry", self._settings.url, SETTING, detail)
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, None


def _message(answer: Any) -> str:  # noqa: ANN401  # JSON
    said = answer.get("message") if isinstance(answer, dict) else None
    return " ".join(str(said).split())[:300] if said else "it does not say why"
