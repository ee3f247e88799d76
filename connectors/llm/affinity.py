"""Which endpoint a key belongs to: always the same one, so that what it has kept of earlier prompts is used again.

Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as Schindelhauer and Schomaker 2005): an endpoint that
joins or leaves moves only the keys that come to it or were its own.
"""

import hashlib
import math
from collections.abc import Mapping

_DRAWS = float(2**64)


def ranking(key: str, weights: Mapping[str, float]) -> list[str]:
    """Order endpoints, by name, for a key: the first is where it belongs, the next where it goes if that cannot be."""
    return sorted(weights, key=lambda name: (-_score(key, name, weights[name]), name))


def _score(key: str, name: str, weight: float) -> float:
    digest = hashlib.blake2b(f"{len(name)}:{name}:{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    # Above 0 and below 1.
    draw = (int.from_bytes(digest) + 0.5) / _DRAWS
    return -weight / math.log(min(draw, math.nextafter(1.0, 0.0)))
