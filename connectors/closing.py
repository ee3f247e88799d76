"""What is closed when a block that uses it ends."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """An asynchronous context manager of itself: `close` is called at the end, whatever it is."""

    @abstractmethod
    async def close(self) -> None:
        """End what it holds."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
