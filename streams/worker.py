"""Runs a lane until it is told to stop, or fails."""

import logging

import faust

from streams.app import Lane

log = logging.getLogger(__name__)


def run(lane: Lane, log_level: str) -> int:
    """Run a lane in the foreground: SIGTERM and SIGINT end it cleanly. Give the exit code."""
    worker = faust.Worker(lane.app, loglevel=log_level, override_logging=False, redirect_stdouts=False, quiet=True)
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    finally:
        lane.close()
    reason = lane.app.crash_reason
    if reason is not None:
        log.error("%s", reason)
        return 1
    return code if isinstance(code, int) else 1
