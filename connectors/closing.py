"""What is closed when a block that uses it ends."""

from types import TracebackType
from typing import Self


class Closing:
    """An asynchronous context manager of itself: `close` is called at the end, whatever it is."""

    async def close(self) -> None:
        """End what it holds."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
