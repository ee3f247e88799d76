"""The last act: the topic is deleted and made anew under the workers, which must end and say so.

All that they had stored speaks of a log that is gone: a worker that went on would take new records for old ones.
"""

from typing import Final

from connectors.kafka.admin import Admin
from schemas.topics import READINGS
from scripts.benches.servers import delete_topics
from scripts.soaks.report import Report
from scripts.soaks.sampler import until
from scripts.soaks.workers import WORKERS, Supervisor
from streams.settings import Settings

# The watch looks every five seconds, and a worker takes a while to end.
ENDED_WITHIN_S: Final = 40.0
# The watch sees another topic, or none between the two; or the reader finds that its place in the log is gone.
REASONS: Final = ("made anew", "is gone")


def made_anew(report: Report, direct: Settings, supervisor: Supervisor) -> None:
    """Make the topic anew, and report who did not end, or did not say why.

    Raises:
        ConnectorError: the topic could not be made anew.

    """
    supervisor.rest()  # nothing is started again: it would end at once, as it should
    delete_topics(direct, (READINGS,))
    Admin(direct.kafka).apply([READINGS])
    workers = [supervisor.processes[name] for name in WORKERS]
    until(lambda: not any(worker.leash.alive for worker in workers), ENDED_WITHIN_S)
    found = []
    for worker in workers:
        if worker.leash.alive:
            found.append(f"{worker.name} goes on although its topic was deleted and made anew")
        elif not any(words in worker.last_words() for words in REASONS):
            found.append(f"{worker.name} ended when its topic was made anew, and said: {worker.last_words()}")
    report.checks["workers that ended when the topic was made anew"] = len(workers) - len(found)
    report.violations += found
