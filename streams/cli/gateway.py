"""`tidegate gateway`: HTTP."""

import signal

from streams.cli.output import ReadyFile, mark_ready

EXAMPLES = "Example: x"


def command(ready_file: ReadyFile = None) -> None:
    """Placeholder until the gateway lands."""
    signal.signal(signal.SIGTERM, lambda *_: exit(0))
    mark_ready(ready_file)
    signal.pause()
