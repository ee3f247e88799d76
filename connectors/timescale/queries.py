"""Statements by name, from `queries.sql`, where they can be read and run as SQL."""

import re
from importlib.resources import files

from psycopg import sql

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def _load() -> dict[str, str]:
    text = files("connectors.timescale").joinpath("queries.sql").read_text("utf-8")
    parts = _NAME.split(text)[1:]
    return dict(zip(parts[::2], (body.strip() for body in parts[1::2]), strict=True))


QUERIES = _load()


def query(name: str, **words: str) -> sql.Composed:
    """Give the statement of this name, with its `{words}` filled in: words of ours, never what came from outside."""
    return sql.SQL(QUERIES[name]).format(**{word: sql.SQL(text) for word, text in words.items()})
