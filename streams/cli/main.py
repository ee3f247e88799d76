"""The command `tidegate`: finds the verb, and turns errors into a sentence and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage (what was asked cannot be done as things are: an option, a setting, a file,
an address or a port).
"""

import sys

import typer

from connectors.errors import PortTakenError, UnreachableError
from schemas.errors import TidegateError
from streams.cli import bridge, db, doctor, gateway, publish, run, simulate, status, topics, up, worker
from streams.cli.output import UsageError
from streams.feed.csv_file import FeedError
from streams.settings import SettingsError

# What the caller can put right before trying again.
WRONG_USAGE = (FeedError, PortTakenError, SettingsError, UnreachableError, UsageError)

app = typer.Typer(
    name="tidegate",
    help="Between a fleet of devices that never stops talking and a language model that is slow and costly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for verb in (up, run, worker, bridge, gateway, publish, simulate, status, doctor):
    app.command(name=verb.__name__.rpartition(".")[2], epilog=verb.EXAMPLES)(verb.command)
app.add_typer(topics.app, name="topics")
app.add_typer(db.app, name="db")


def main() -> None:
    """Run the command line."""
    try:
        app()
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
