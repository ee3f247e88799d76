"""`tidegate db`: the database's schema."""

from datetime import UTC, datetime

import typer

from connectors.timescale import policies
from connectors.timescale.connection import connect, kind_of
from connectors.timescale.migrate import migrate as apply_migrations
from streams.cli.output import Json, show
from streams.settings import load

app = typer.Typer(help="The database's schema.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep `migrate` a verb of its own although it is the only one."""


@app.command("migrate", epilog="Example: [bold]tidegate db migrate --json[/]")
def migrate(*, as_json: Json = False) -> None:
    """Bring the database's schema up to date, and its own jobs to what the settings say. Safe to run at any time."""
    settings = load()
    with connect(settings.database, autocommit=True) as connection:
        applied = apply_migrations(connection)
        kind = kind_of(connection)
        policies.apply(connection, kind, settings.database, datetime.now(UTC))
    show({"database_kind": kind, "applied": applied}, as_json=as_json)
