"""The command `scripts/bench`: finds the bench, runs it, prints what it found.

A bench is a module beside this one with `SUMMARY`, `EXAMPLES`, and `command`, a typer command. It is imported when it
is asked for. Exit codes: 0 done (whether or not the goals are met), 1 failed, 2 wrong usage.
"""

import importlib
import importlib.util
import sys

import typer

from connectors.errors import PortTakenError, UnreachableError
from schemas.errors import TidegateError
from streams.settings import SettingsError

BENCHES = (
    "ingest",
    "sink",
    "latency",
    "publish",
    "devices",
    "detect",
    "analyze",
    "cost",
    "pool",
    "cache",
    "gateway",
    "read",
    "replay",
    "mirror",
)
WRONG_USAGE = (PortTakenError, SettingsError, UnreachableError)


def build(asked: str | None) -> typer.Typer:
    """Make the command line: of the bench that is asked for, or of all where the question is which there are."""
    app = typer.Typer(
        name="bench",
        help="Measures Tidegate and its peers side by side, in one run on this machine.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )

    @app.callback()
    def bench() -> None:
        """Keep a bench a subcommand when it is the only one."""

    for name in (asked,) if asked in BENCHES else BENCHES:
        module = importlib.import_module(f"scripts.benches.{name}")
        app.command(name=name, help=module.SUMMARY, epilog=module.EXAMPLES)(module.command)
    return app


def main() -> None:
    """Run the command line."""
    try:
        build(next(iter(sys.argv[1:]), None))()
    except WRONG_USAGE as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
    except TidegateError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
