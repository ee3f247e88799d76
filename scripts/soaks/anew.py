"""The last act: the topic is deleted and made anew under the workers, which must end and say so.

All that they had stored speaks of a log that is gone: a worker that went on would take new records for old ones. The
group falls apart meanwhile, so one of them may find that another has its partitions before it sees the topic: that one
is started again, as whoever supervises it would, and has to say it then.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from connectors.kafka.admin import Admin
from schemas.topics import READINGS
from scripts.benches.servers import delete_topics
from scripts.soaks.report import Report
from scripts.soaks.sampler import until
from scripts.soaks.verdict import REASONS as PASSING
from scripts.soaks.workers import WORKERS, Process
from streams.settings import Settings

# The watch looks every five seconds, a worker takes a while to end, and one may have to be started again.
ENDED_WITHIN_S: Final = 60.0
# The watch sees another topic, or none between the two; or the reader finds that its place in the log is gone.
REASONS: Final = ("made anew", "is gone")


class Worker(Protocol):
    """What is asked of a worker (`scripts.soaks.workers.Process`)."""

    name: str

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    def start(self) -> None:
        """Start it, again."""

    def last_words(self) -> str:
        """Give the reason for which it ended."""


def made_anew(report: Report, direct: Settings, processes: Mapping[str, Process]) -> None:
    """Make the topic anew, and report who did not end, or did not say why. Nobody else may start workers again.

    Raises:
        ConnectorError: the topic could not be made anew.

    """
    delete_topics(direct, (READINGS,))
    Admin(direct.kafka).apply([READINGS])
    workers = [processes[name] for name in WORKERS]
    found = unsaid(workers, ENDED_WITHIN_S)
    report.checks["workers that ended when the topic was made anew"] = len(workers) - len(found)
    report.violations += found


def unsaid(workers: Sequence[Worker], within_s: float) -> list[str]:
    """Wait until all have ended because of the topic; give a sentence for each that has not."""

    def ended() -> bool:
        dead = [worker for worker in workers if not worker.alive]
        again = [worker for worker in dead if any(words in worker.last_words() for words in PASSING)]
        for worker in again:
            worker.start()
        return len(dead) == len(workers) and not again

    until(ended, within_s)
    found = []
    for worker in workers:
        if worker.alive:
            found.append(f"{worker.name} goes on although its topic was deleted and made anew")
        elif not any(words in worker.last_words() for words in REASONS):
            found.append(f"{worker.name} ended when its topic was made anew, and said: {worker.last_words()}")
    return found
