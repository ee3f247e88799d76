"""Batches as Arrow columns: bytes in, rows out, no Python object a reading. Pure."""
