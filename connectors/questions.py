"""Questions that were answered, and what was seen of the answers: what those who keep and who compare them share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a tenant, and the bytes of the answer that is kept under `digest`.

    All of one `gate` agree in everything that has to be equal; `vector` says how alike the rest (`skeleton`) is.
    """

    tenant: str
    gate: str
    digest: str
    text: str
    skeleton: str
    embedder: str
    vector: tuple[float, ...]
    data: bytes
    # Seconds since 1970.
    made: float
    expires: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the answer to a similar question was right for another; `served`: it was given, or would have been."""

    worker: str
    at: float
    skeleton: str
    similarity: float
    correct: bool
    served: bool
    id: int = 0
