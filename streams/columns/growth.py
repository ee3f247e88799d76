"""Arrays that become longer as what they hold becomes more."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


def grown(array: "npt.NDArray[T]", length: int, *, parts: int = 2) -> "npt.NDArray[T]":
    """Give an array of at least this length that begins as the given one does; what is new is zero.

    It grows by one of so many `parts` of its length, or as far as it has to: twice the length would take more memory
    than a series may.
    """
    if length <= len(array):
        return array
    longer = np.zeros(max(length, len(array) + len(array) // parts), dtype=array.dtype)
    longer[: len(array)] = array
    return longer
