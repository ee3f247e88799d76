"""One thing that was looked at, and what to do if it is not as it should be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`fine` is whether it can stay as it is; a cure may be advice all the same."""

    what: str
    fine: bool
    seen: str
    cure: str = ""


def no_address(what: str, setting: str) -> Finding:
    """Say that a server is not set."""
    return Finding(what, fine=True, seen="no address is set: `tidegate up` starts one", cure=f"Set {setting}.")
