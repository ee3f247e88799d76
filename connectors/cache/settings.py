"""How answers are kept (`TIDEGATE_CACHE__…`)."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MIB = 2**20
Seconds = Annotated[float, Field(gt=0)]


class CacheSettings(BaseModel):
    """Where answers are kept and for how long. Redis is where the other settings say, if they do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    # In the memory of each worker.
    memory_mib: Annotated[int, Field(ge=1)] = 64
    memory_entries: Annotated[int, Field(ge=1)] = 20_000
    # On disk; without room nothing is kept there. Without a folder it is `cache` in `data_dir`.
    disk_mib: Annotated[int, Field(ge=0)] = 1024
    dir: Path | None = None
    # Whether `dir` is on a file system that several machines share.
    dir_shared: bool = False
    # An answer is given for so long; then for so long again, while it is asked about anew in the background. It depends
    # on the facts alone, so age says little against it, and each time it is asked about anew costs a call.
    fresh_s: Seconds = 6 * 24 * 3600.0
    stale_s: Annotated[float, Field(ge=0)] = 24 * 3600.0
    # Whether a question may be answered by what was said to another one that means the same.
    semantic: bool = True
    # The share of such answers that may be wrong; if it is proven that more are, no more are given.
    semantic_wrong: Annotated[float, Field(gt=0, lt=1)] = 0.005
    # For so long it is remembered that no model has a usable answer to something.
    refused_s: Seconds = 600.0
