"""What can be wrong with a record, and the root of every exception of the project."""


class TidegateError(Exception):
    """Something that Tidegate knows how to explain."""

    def __init__(self, message: str | None = None) -> None:
        """Take the class's docstring as the message where none is given."""
        super().__init__(message or (type(self).__doc__ or "").strip())


class PoisonError(TidegateError):
    """The record cannot be used, now or later: it belongs in `dead-letters`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """`reason` is a short stable word to group by; `detail` says what was seen."""
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else reason)
