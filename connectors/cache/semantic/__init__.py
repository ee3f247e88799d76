"""Questions that mean the same: what has to be equal, and what may only be alike."""
