"""Loops over columns, compiled to machine code when their module is imported, and kept on disk for the next start.

Numba keeps what it compiled in the folder that `NUMBA_CACHE_DIR` names, else beside the source, else in the user's
folder for caches. Where it can write to none of them, or cannot read what it finds there, the loops are compiled at
each start: some seconds. What a loop uses, but for Python's and NumPy's own, stands in its file or is an argument:
Numba notices that this file has changed, not that another one has (a test holds the rule).
"""

import pickle
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

# What comes of a cache that cannot be used: no folder for it, a full disk, a file cut short.
_NO_CACHE = (RuntimeError, OSError, EOFError, pickle.UnpicklingError)


def compiled(signature: object) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a loop for one signature (Numba's types); other threads run while it does, and indices are not checked.

    A division by zero gives what NumPy gives. Floats are as IEEE 754 says: no operation is left out, moved or fused.
    """

    def compile_(loop: Callable[P, R]) -> Callable[P, R]:
        try:
            done: Callable[P, R] = numba.njit(signature, nogil=True, error_model="numpy", cache=True)(loop)
        except _NO_CACHE:
            done = numba.njit(signature, nogil=True, error_model="numpy")(loop)
        return done

    return compile_


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """Let the loops of the same file call a function; it becomes part of each of them."""
    done: Callable[P, R] = numba.njit(function, error_model="numpy")
    return done
