"""What gives texts their vectors: questions that mean the same should lie close together."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """A model of the meaning of texts. Vectors of different versions must never be compared."""

    @property
    def version(self) -> str:
        """The model's name and its dimensions: a part of every key under which vectors are kept."""

    @property
    def dimensions(self) -> int:
        """How long the vectors are. 0: nobody has said, and nothing was embedded yet."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give a vector for each text, as rows: (texts, dimensions).

        Each has the length 1, or 0 for a text without any word that the model knows.

        Raises:
            ConnectorError: there are no vectors now. (`SlowDownError`: later there may be.)

        """
