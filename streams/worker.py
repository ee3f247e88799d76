"""Runs a lane until it is told to stop, or fails."""

import gc
import logging
from collections.abc import Callable

import faust

from connectors import metrics
from schemas.errors import TidegateError
from streams.app.lane import Lane

log = logging.getLogger(__name__)

# Every batch makes thousands of objects that live for a moment: at Python's default of 700 the collector would look
# through all that lives several times a batch.
COLLECT_AFTER = 100_000


def run(lane: Lane, log_level: str, on_reading: Callable[[], None] = lambda: None) -> int:
    """Run a lane in the foreground: SIGTERM and SIGINT end it cleanly. Give the exit code.

    `on_reading` is called whenever partitions were assigned and reading starts.
    """
    lane.app.on_reading = on_reading
    metrics.include(lane.app.registry)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    worker = faust.Worker(lane.app, loglevel=log_level, override_logging=False, redirect_stdouts=False, quiet=True)
    code = 0
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:  # noqa: BLE001  # whatever ended the app is said below, once, and without a traceback
        lane.app.failure = lane.app.failure or error
    finally:
        lane.close()
    if lane.app.failure is not None:
        explained = isinstance(lane.app.failure, TidegateError)
        log.error("the worker stops: %s", lane.app.failure, exc_info=None if explained else lane.app.failure)
        return 1
    return code
