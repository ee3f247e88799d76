"""One soak, from empty servers to the verdict."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from connectors.embedded import ports
from connectors.embedded.choice import Say
from connectors.errors import ConnectorError
from scripts.benches.machine import machine, versions
from scripts.soaks import anew, outside, plan, servers, verdict
from scripts.soaks.faults import FAULTS, World
from scripts.soaks.load import NOISE, Books, Load
from scripts.soaks.log import Log
from scripts.soaks.report import FaultFigures, Report
from scripts.soaks.sampler import Judge, Sampler, Still, looking, until
from scripts.soaks.workers import Supervisor
from streams.drill import invariants
from streams.drill.book import IN_PEACE, Book, Counter, Present
from streams.drill.fleet import Stream
from streams.drill.rows import rows
from streams.drill.sites import Always, HttpSite, MqttSite, Way
from streams.pipeline import prepare
from streams.settings import Settings

DEVICES: Final = 1000
COUNTERS: Final = 10
# Of a thousand devices, short and long: 5 million in 18 minutes.
RATE: Final = {True: 1500.0, False: 4700.0}
SMALL_DEVICES: Final = 20
MQTT: Final = "mqtt"
RECOVERED_WITHIN_S: Final = 120.0
DRAINED_WITHIN_S: Final = 120.0
# What has not come out of the MQTT broker for so long does not come any more.
STILL_S: Final = 8.0
QUIET_S: Final = {True: 0.3, False: 1.0}
SECOND_US: Final = 1_000_000

Step = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What was asked for. `faults_s`: no fault is injected later than that."""

    short: bool
    faults_s: float
    seed: int


@dataclass(frozen=True)
class Flow:
    """The load, and the books that it keeps."""

    load: Load
    mqtt: MqttSite
    http: HttpSite
    books: tuple[Book, ...]
    counters: list[Counter]
    present: Present

    def start(self) -> None:
        """Send."""
        for thread in (self.load, self.mqtt, self.http):
            thread.start()

    def stop(self, within_s: float) -> int:
        """Send no more; give how many readings nobody said anything about."""
        return self.load.stop(within_s) + self.mqtt.stop(within_s) + self.http.stop(within_s)

    def accepted(self) -> list[int]:
        """Count what each stream has accepted."""
        return [book.accepted for book in self.books]


def run(settings: Settings, options: Options, say: Say, progress: Step) -> Report:
    """Run a soak and judge it.

    Raises:
        ConnectorError: it could not be run.

    """
    report = Report(options.seed, machine(), versions())
    started = time.monotonic()
    progress("starting servers")
    with servers.running(settings, say) as own:
        direct = own.settings(settings, proxied=False)
        prepare(direct)
        port = ports.free()
        environment = _environment(own.settings(settings, proxied=True), port)
        flow = _flow(direct, port, options)
        supervisor = Supervisor(own.folder / "processes", environment)
        random = Random(options.seed)  # noqa: S311  # a plan, not a secret
        world = World(own, supervisor, flow.load, random, direct.database.url.get_secret_value(), options.short)
        soak = _Soak(direct, flow, world, _Clock(started, say, progress))
        steps = plan.short(random) if options.short else plan.long(random)
        soak.run(report, steps, started + options.faults_s)
    report.seconds = time.monotonic() - started
    return report


@dataclass(frozen=True)
class _Clock:
    """Tells people what happens, and when."""

    started: float
    remark: Say
    begin: Step

    def say(self, line: str) -> None:
        """Print a remark, with the time since the start."""
        seconds = int(time.monotonic() - self.started)
        self.remark(f"{seconds // 60:02}:{seconds % 60:02} {line}")


class _Soak:
    """The course of one soak."""

    def __init__(self, direct: Settings, flow: Flow, world: World, clock: "_Clock") -> None:
        self._direct = direct
        self._flow = flow
        self._world = world
        self._clock = clock
        self._progress = clock.begin
        self._supervisor = world.supervisor
        self._log = Log(direct.kafka.bootstrap_servers, "soak")
        self._look = looking(direct, ())
        self._judge = Judge()
        self._done: list[tuple[plan.Step, float]] = []
        self._records = 0  # in the log, when nothing is sent any more

    def run(self, report: Report, steps: Iterable[plan.Step], until_s: float) -> None:
        """Start all, inject faults until a moment of the monotonic clock, drain, judge."""
        self._progress("starting workers, bridge and gateway")
        sampler = Sampler(looking(self._direct, [counter.device for counter in self._flow.counters]), self._judge)
        try:
            self._supervisor.start()
            sampler.start()
            self._flow.start()
            self._wait("readings do not flow", self._recovered(self._flow.accepted(), {}))
            self._clock.say("readings flow")
            self._inject(steps, until_s)
        except ConnectorError as error:
            report.violations.append(f"stuck: {error}")
        try:
            self._progress("waiting for the last row")
            self._drain(report)
            sampler.stop()
            self._progress("topic made anew")
            self._supervisor.rest()
            anew.made_anew(report, self._direct, self._supervisor.processes)
            self._clock.say("topic made anew: the workers have ended")
        except ConnectorError as error:
            report.violations.append(f"stuck: {error}")
        finally:
            if sampler.is_alive():
                sampler.stop()
            codes = self._supervisor.stop()
        self._clock.say("all has stopped")
        self._progress("comparing")
        report.violations += self._world.broken
        verdict.processes(report, self._supervisor.exits, self._supervisor.rss_mib, codes)
        self._compare(report)

    def _inject(self, steps: Iterable[plan.Step], until_s: float) -> None:
        for step in steps:
            if time.monotonic() > until_s:
                return
            words = " and ".join(step)
            self._progress(words)
            self._supervisor.blame(words)
            self._flow.present.mark = invariants.mark_of(len(self._done))
            before = self._flow.accepted()
            for name in step:
                FAULTS[name](self._world)
            over = time.monotonic()
            self._done.append((step, 0.0))
            self._wait(f"after {words}", self._recovered(before, self._ends()))
            self._done[-1] = (step, time.monotonic() - over)
            self._clock.say(f"{words}: everything flowed again after {time.monotonic() - over:.1f} s")
            if not self._world.short:  # there, others do the work of one that is on its way up
                self._wait(f"after {words}, a process does not get ready", lambda: self._supervisor.ready)
            self._flow.present.mark = IN_PEACE
            self._supervisor.calm()
            threading.Event().wait(QUIET_S[self._world.short])

    def _drain(self, report: Report) -> None:
        """Let all that was accepted come to where it belongs."""
        unanswered = self._flow.stop(DRAINED_WITHIN_S)
        if unanswered:
            report.violations.append(f"{unanswered} messages were neither accepted nor refused in the end")
        report.checks["messages to Kafka refused, and sent again"] = self._flow.load.failed
        if self._flow.load.error is not None:
            report.violations.append(f"the load broke: {self._flow.load.error!r}")
        arrived = Still(lambda: outside.rows_of(self._url, MQTT))
        wanted = next(book.accepted for book in self._flow.books if book.stream.name == MQTT)
        until(lambda: arrived.now() >= wanted or arrived.still_s > STILL_S, DRAINED_WITHIN_S)
        ends = self._ends()
        self._records = sum(ends.values())
        self._wait("at the end", lambda: self._supervisor.ready and self._stored(ends))

    @property
    def _url(self) -> str:
        return self._world.url

    def _ends(self) -> dict[int, int]:
        """Give the ends of the log, as soon as Kafka says them."""
        found: dict[int, int] = {}

        def ask() -> bool:
            found.update(self._log.ends())
            return True

        self._wait("Kafka does not answer", ask)
        return found

    def _recovered(self, before: Sequence[int], ends: Mapping[int, int]) -> Callable[[], bool]:
        """Make the question whether each way in accepts again, and what was in the log by then is stored."""

        def ask() -> bool:
            accepting = all(now > then for now, then in zip(self._flow.accepted(), before, strict=True))
            return accepting and self._stored(ends)

        return ask

    def _stored(self, ends: Mapping[int, int]) -> bool:
        marks = self._look().marks
        return all(number in marks and marks[number].next_offset >= end for number, end in ends.items())

    def _wait(self, what: str, true: Callable[[], bool]) -> None:
        if self._flow.load.error is not None:
            raise ConnectorError(f"the load broke: {self._flow.load.error!r}")
        if not until(true, RECOVERED_WITHIN_S):
            where = self._world.servers.folder / "processes"
            raise ConnectorError(f"{what}: not everything flows within {RECOVERED_WITHIN_S:.0f} s; the logs: {where}")

    def _compare(self, report: Report) -> None:
        flow = self._flow
        table = rows(self._url, self._world.servers.folder)
        counts = outside.counts(self._url)
        found = invariants.compare(table, flow.books, {MQTT: self._world.broker_killed})
        verdict.rows(report, found, invariants.strangers(table, flow.books, flow.counters))
        verdict.counted(report, counts, table_rows=len(table), log_records=self._records)
        letters = outside.letters(self._direct.kafka)
        verdict.letters(report, letters, flow.load.poison, counts, flow.counters)
        verdict.order(report, self._judge.findings, invariants.standing(table, flow.counters), flow.counters)
        report.faults = figures(self._done, found)


def figures(done: Sequence[tuple[plan.Step, float]], found: Sequence[invariants.Comparison]) -> list[FaultFigures]:
    """Share out among the kinds of faults what was accepted, lost and duplicated while they went on."""
    kinds: dict[str, FaultFigures] = {}
    for number, (step, recover_s) in enumerate(done):
        mark = invariants.mark_of(number)
        for name in dict.fromkeys(step):
            kind = kinds.setdefault(name, FaultFigures(name))
            kind.times += step.count(name)
            kind.recover_s = max(kind.recover_s, recover_s)
            kind.accepted += sum(stream.accepted_during[mark] for stream in found)
            kind.lost += sum(stream.lost_during[mark] for stream in found)
            kind.duplicated += sum(stream.duplicated_during[mark] for stream in found)
    return [kinds[name] for name in FAULTS if name in kinds]


def _flow(direct: Settings, port: int, options: Options) -> Flow:
    """Make the load; nothing is sent yet."""
    present = Present()
    start_us = int(time.time() * SECOND_US)
    # Clocks a little slow, so that no device gets ahead of what is accepted.
    rate = RATE[options.short]
    step_us = int(DEVICES / rate * SECOND_US * 0.9)
    main, noisy, mqtt, http = (
        Book(stream, present)
        for stream in (
            Stream("kafka", DEVICES, step_us, start_us),
            Stream("noisy", 1, step_us // NOISE, start_us),
            Stream(MQTT, SMALL_DEVICES, step_us, start_us),
            Stream("http", SMALL_DEVICES, step_us, start_us),
        )
    )
    counters = [Counter(f"counter-{number}", start_us) for number in range(COUNTERS)]
    load = Load(direct.kafka.bootstrap_servers, Books(main, noisy, counters), rate, Random(options.seed))  # noqa: S311  # the same
    books = (main, noisy, mqtt, http)
    here = Always(ports.LOOPBACK)
    over_mqtt = Way(here, int(direct.mqtt.url.rpartition(":")[2]), patience_s=5.0)
    sites = MqttSite("", mqtt, over_mqtt), HttpSite("", http, Way(here, port, patience_s=30.0))
    return Flow(load, *sites, books, counters, present)


def _environment(settings: Settings, port: int) -> dict[str, str]:
    """Give the variables that lead Tidegate's processes to the servers, through the proxies."""
    return {
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "TIDEGATE_KAFKA__SESSION_TIMEOUT_S": str(settings.kafka.session_timeout_s),
        "TIDEGATE_DATABASE__URL": settings.database.url.get_secret_value(),
        "TIDEGATE_DATABASE__CONFLICT_POLICY": settings.database.conflict_policy,
        "TIDEGATE_REDIS__URL": settings.redis.url.get_secret_value(),
        "TIDEGATE_MQTT__URL": settings.mqtt.url,
        "TIDEGATE_HTTP__PORT": str(port),
        "TIDEGATE_HTTP__OPEN": "true",
        "TIDEGATE_LOG_LEVEL": "INFO",
        "TIDEGATE_DATA_DIR": str(settings.data_dir.resolve()),
    }
