"""Whose schema ids records are written with: ours, or those of the registry in the settings."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from connectors.errors import UnreachableError
from connectors.registry.client import Registry
from schemas import registry
from schemas.topics import SUBJECTS
from streams.settings import Settings

log = logging.getLogger(__name__)

FILE: Final = "registry.json"
_REMEMBERED: Final = TypeAdapter(tuple[str, dict[int, int]])


def adopt(settings: Settings) -> Mapping[int, int]:
    """Register our schemas where the settings name a registry, and write with its ids from now on; give them by ours.

    What a registry said is remembered in the data folder: should it be away later, work goes on with that.

    Raises:
        UnreachableError: it does not answer, and did not before.
        ConnectorError: it refuses a schema, as it does where that is not compatible with what it has.

    """
    if not settings.registry.url:
        return {}
    file = settings.data_dir / FILE
    try:
        with Registry(settings.registry) as there:
            ids = there.ids(SUBJECTS)
            for subject in SUBJECTS:
                if strangers := there.strangers(subject, list(ids.values())):
                    told = ", ".join(map(str, strangers))
                    log.warning("%s: what is written with the schema ids %s goes to dead-letters", subject, told)
    except UnreachableError as error:
        remembered = _remembered(file, settings.registry.url)
        if remembered is None:
            raise
        log.warning("%s Going on with the ids that it gave before.", error)
        ids = remembered
    else:
        # Processes that share the folder write the same.
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_suffix(f".{os.getpid()}")
        whole.write_text(json.dumps([settings.registry.url, ids]), encoding="utf-8")
        whole.replace(file)
    registry.adopt(ids)
    return ids


def _remembered(file: Path, url: str) -> dict[int, int] | None:
    """Give the ids of all schemas of today, if this registry gave them."""
    try:
        said_by, ids = _REMEMBERED.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    return ids if said_by == url and ids.keys() == registry.BY_ID.keys() else None
