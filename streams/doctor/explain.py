"""Every setting: what it is, and where that came from. Secrets are not shown."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from streams.settings import PREFIX, Settings

HIDDEN: Final = "********"


@dataclass(frozen=True, slots=True)
class Explained:
    """A setting, by the name of its variable; `source` is the variable that was read, or `default`."""

    name: str
    value: object
    source: str


def explain(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[Explained]:
    """List all settings, those of a section one after the other."""
    # Names of variables are read whatever their case.
    given = {name.upper(): name for name in environment if name.upper().startswith((PREFIX, "OPENAI_"))}
    return list(_explained(settings, PREFIX, given))


def _explained(section: BaseModel, prefix: str, given: Mapping[str, str]) -> Iterator[Explained]:
    for name in type(section).model_fields:
        value, variable = getattr(section, name), f"{prefix}{name.upper()}"
        if isinstance(value, BaseModel):
            yield from _explained(value, f"{variable}__", given)
        else:
            yield Explained(variable, _shown(value), _source(variable, value, given))


def _source(variable: str, value: object, given: Mapping[str, str]) -> str:
    if variable in given:
        return given[variable]
    # A section may be given whole, as JSON, and a list by its parts.
    parts = variable.split("__")
    for length in range(len(parts) - 1, 0, -1):
        if (whole := "__".join(parts[:length])) in given:
            return given[whole]
    inner = sorted(name for name in given if name.startswith(f"{variable}__"))
    if inner:
        return given[inner[0]]
    if variable == f"{PREFIX}LLM__ENDPOINTS" and value:
        return next((given[name] for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL") if name in given), "default")
    return "default"


def _shown(value: Any) -> object:  # noqa: ANN401  # settings are of many types
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _shown(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_shown(one) for one in value]
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    return str(value)
