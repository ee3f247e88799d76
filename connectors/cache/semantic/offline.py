"""Vectors by a small model that is in its wheel (WordLlama): no server, no download, and no line in any log.

It averages the vectors of a text's words, of any order: "Is A above B?" and "Is B above A?" are the same to it. What
must not be confused has to be compared by other means.
"""

import asyncio
import importlib
import importlib.metadata
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from connectors.errors import ConnectorError

DIMENSIONS: Final = 256
# A longer text is cut: in memory, all texts of a call are as long as the longest.
MOST_CHARACTERS: Final = 8192

_MODEL = "l2_supercat"
_Vectors = NDArray[np.float32]


class Model(Protocol):
    """What the library loads."""

    def embed(self, texts: list[str], *, norm: bool) -> _Vectors:
        """Give a vector for each text, divided by its length or not."""


class OfflineEmbedder:
    """The model, loaded when it is first needed (within a second, in a thread) and then kept. For any thread."""

    dimensions: int = DIMENSIONS

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self.version: str = f"wordllama-{_version()}-{_MODEL}-{DIMENSIONS}"
        self._model: Model | None = None
        self._loading = threading.Lock()

    async def embed(self, texts: Sequence[str]) -> _Vectors:
        """Give a vector for each text: (texts, 256). Its length is 1, or 0 for a text without words.

        Raises:
            ConnectorError: the model is not there.

        """
        return await asyncio.to_thread(self.embed_now, texts)

    def embed_now(self, texts: Sequence[str]) -> _Vectors:
        """Do what `embed` does, in this thread: after the first time it takes well below a millisecond a text.

        Raises:
            ConnectorError: the model is not there.

        """
        if not texts:
            return np.empty((0, DIMENSIONS), dtype=np.float32)
        model = self._loaded()
        # The tokenizer takes no half of a surrogate pair.
        written = [text[:MOST_CHARACTERS].encode("utf-8", "replace").decode() for text in texts]
        vectors = model.embed(written, norm=False)
        # The library's own division warns where there is no word at all.
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: _Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        return unit

    def _loaded(self) -> Model:
        with self._loading:
            if self._model is None:
                self._model = load()
            return self._model


def _version() -> str:
    try:
        return importlib.metadata.version("wordllama")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def load() -> Model:
    """Load the model from the wheel.

    Raises:
        ConnectorError: it is not there, or broken.

    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        # It takes half a second, and sets up logging for the whole program: that is undone.
        wordllama: Any = importlib.import_module("wordllama")
        folder = Path(wordllama.__file__).parent
        model: Model = wordllama.WordLlama.load(_MODEL, cache_dir=folder, disable_download=True, dim=DIMENSIONS)
    except Exception as error:  # its files are read by libraries that raise errors of their own
        message = f"The offline model of embeddings cannot be loaded ({type(error).__name__}). Install wordllama again."
        raise ConnectorError(message) from error
    finally:
        root.setLevel(level)
        for handler in [one for one in root.handlers if one not in handlers]:
            root.removeHandler(handler)
    return model
