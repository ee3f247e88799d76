"""What can go wrong outside, and what to do about it: two kinds that must never be confused.

A `SlowDown` passes by itself: wait, then try the same thing again. Everything else ends the attempt: the message says
what to change. (What is wrong with a record itself is `schemas.errors.PoisonError`.)
"""

from schemas.errors import TidegateError


class ConnectorError(TidegateError):
    """An outside system did not do what was asked."""


class SlowDownError(ConnectorError):
    """The system asks for a pause; the same request can succeed later."""

    # For how many seconds it asks; None: it did not say.
    retry_after_s: float | None = None


class UnreachableError(ConnectorError):
    """Nothing answers at the address in the settings."""

    def __init__(self, what: str, address: str, setting: str, detail: str = "") -> None:
        """Name the system, the address that was tried, and the setting that leads elsewhere."""
        because = f" ({detail})" if detail else ""
        super().__init__(f"{what} does not answer at {address}{because}. Is it running? Its address is {setting}.")


class PortTakenError(ConnectorError):
    """Another program already listens there."""

    def __init__(self, what: str, address: str, setting: str) -> None:
        """Name what wanted the port, and the setting that chooses another."""
        super().__init__(
            f"{what} cannot listen on {address}: another program has that port. Choose one with {setting}."
        )
