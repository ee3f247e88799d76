"""The command `tidegate`: finds the verb, and turns errors into a sentence and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage (what was asked cannot be done as things are: an option, a setting, a file,
an address or a port).
"""

import importlib
import sys

import typer

from connectors.errors import PortTakenError, UnreachableError
from schemas.errors import TidegateError
from streams.cli.output import UsageError
from streams.feed.csv_file import FeedError
from streams.settings import SettingsError

# What the caller can put right before trying again.
WRONG_USAGE = (FeedError, PortTakenError, SettingsError, UnreachableError, UsageError)

# Verbs of their own, and groups of verbs. A module is imported when its verb is asked for: some need heavy libraries.
VERBS = (
    "up",
    "run",
    "worker",
    "bridge",
    "gateway",
    "publish",
    "simulate",
    "replay",
    "status",
    "doctor",
    "metrics",
    "plan",
)
GROUPS = ("dlq", "topics", "db", "keys", "cache", "webhooks", "region")


def build(asked: str | None) -> typer.Typer:
    """Make the command line: of the verb that is asked for, or of all where the question is which there are."""
    app = typer.Typer(
        name="tidegate",
        help="Between a fleet of devices that never stops talking and a language model that is slow and costly.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )

    @app.callback()
    def tidegate() -> None:
        """Keep a verb a verb when it is the only one."""

    for name in (asked,) if asked in {*VERBS, *GROUPS} else (*VERBS, *GROUPS):
        module = importlib.import_module(f"streams.cli.{name}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name=name, epilog=module.EXAMPLES)(module.command)
    return app


def main() -> None:
    """Run the command line."""
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)()
    except WRONG_USAGE as error:
        _say(error)
        sys.exit(2)
    except TidegateError as error:
        _say(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _say(error: TidegateError) -> None:
    print(f"tidegate: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
