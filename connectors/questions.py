"""Questions that were answered, and what was seen of the answers: what those who keep and who compare them share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a tenant, and the bytes of the answer that is kept under `digest`.

    All of one `gate` agree in everything that has to be equal. `form` is what they say of it, and `vector` is what the
    form means, as far as a model of embeddings knows.
    """

    tenant: str
    gate: str
    digest: str
    text: str
    form: str
    embedder: str
    vector: tuple[float, ...]
    data: bytes
    # Seconds since 1970.
    made: float
    expires: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the answer to a question of one form was right for one of another, as a worker saw it.

    `served`: it was given, or would have been.
    """

    worker: str
    at: float
    form: str
    other: str
    correct: bool
    served: bool
    id: int = 0
