"""One drill, from empty regions to the verdict."""

import contextlib
import http.client
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg

from connectors.dns import configuration as dns
from connectors.embedded import gdnsd, lock, ports
from connectors.embedded.proxy import Mode, Proxies
from connectors.errors import ConnectorError
from connectors.regions import Regions
from connectors.timescale import checksums
from streams.drill import verdict
from streams.drill.arrivals import Arrivals
from streams.drill.book import Book, Present
from streams.drill.fleet import Stream
from streams.drill.place import Ground, Place, start_all
from streams.drill.report import Disaster, Report
from streams.drill.resolver import Resolver
from streams.drill.sites import HttpSite, MqttSite, Site

# The regions: their names, addresses of their own on this machine, and networks of devices near them.
REGIONS: Final = {"us": ("127.0.1.1", "10.1.0.0/16"), "eu": ("127.0.2.1", "10.2.0.0/16")}
ZONE: Final = "drill.test"
SITES: Final = {"mqtt": 2, "http": 2}  # of each region
DEVICES: Final = 10  # of each site
STEP_US: Final = 200_000  # a little less than a device really waits: no clock gets ahead
SECOND_US: Final = 1_000_000
FLOWS_WITHIN_S: Final = 60.0
MOVED_WITHIN_S: Final = 120.0
HEALED_WITHIN_S: Final = 180.0
POLL_S: Final = 0.1
WAIT_HTTP_S: Final = 10.0
# What is on its way to the other region when a region dies comes in by then, or does not.
SETTLED_S: Final = 3.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What was asked for. `calm_s`: how long all is well between two disasters; `hold_s`: how long one lasts."""

    disasters: Sequence[str]
    calm_s: float
    hold_s: float
    # How names lead to regions, where it is not as `connectors.regions.Dns` has it.
    dns: Mapping[str, int] = field(default_factory=dict)


def run(data_dir: Path, options: Options, say: Say, step: Say) -> Report:
    """Run a drill and judge it.

    Raises:
        UnavailableError: Java or gdnsd is not here.
        ConnectorError: it could not be run.

    """
    gdnsd.command()
    started = time.monotonic()
    folder = data_dir.resolve() / "drill"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        held.callback(lock.release, lock.acquire(folder / "in-use"))
        for old in folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        ground = Ground(folder, held.enter_context(Proxies()), folder / "regions.json", ports.free(), ports.free())
        places = [Place(name, address, ground) for name, (address, _) in REGIONS.items()]
        for place in places:
            held.callback(place.stop)
        listed = _list(places, ground, options)
        step("starting two regions")
        start_all(places)
        server = ports.LOOPBACK, ports.free()
        gdnsd.write(folder / "dns", dns.files(listed, listen=f"{server[0]}:{server[1]}", folder=str(folder / "dns")))
        held.callback(gdnsd.start(folder / "dns").stop)
        say(f"two regions run after {time.monotonic() - started:.0f} s")
        drill = _Drill(places, _sites(places, server, ground), say, step)
        report = Report()
        try:
            drill.run(report, options)
        finally:
            drill.stop()
        report.seconds = time.monotonic() - started
    return report


class _Drill:
    """The course of one drill."""

    def __init__(self, places: Sequence[Place], sites: Sequence[Site], say: Say, step: Say) -> None:
        self._places = places
        self._sites = sites
        self._say = say
        self._step = step
        books = {site.book.stream.name: site.book for site in sites}
        self._arrivals = {
            place.name: Arrivals(place.kafka, f"{other.name}.readings", books)
            for place in places
            for other in places
            if other is not place
        }

    def run(self, report: Report, options: Options) -> None:
        """Let readings flow, bring the disasters about, heal, compare."""
        for thread in (*self._arrivals.values(), *self._sites):
            thread.start()
        self._step("letting readings flow")
        self._wait("readings do not flow from region to region", self._flows, FLOWS_WITHIN_S)
        self._wait("the regions do not come to have the same", self._caught_up(), HEALED_WITHIN_S)
        ages = self._calm(options)
        for name in options.disasters:
            self._step(name)
            before = self._accepted()
            disaster = Disaster(name)
            DISASTERS[name](self, disaster, options)
            disaster.accepted = self._accepted() - before
            report.disasters.append(disaster)
            moved = "" if disaster.out_s is None else f"moved after {disaster.out_s:.1f} s, "
            self._say(f"{name}: {moved}healed after {disaster.healed_s:.1f} s")
            ages += self._calm(options)
        self._step("comparing")
        for site in self._sites:
            site.stop()
        for site in self._sites:
            site.join(MOVED_WITHIN_S)
        questions = [self._ask(place) for place in self._places]
        self._wait("the regions do not come to have the same", self._alike, HEALED_WITHIN_S)
        self._wait("a question is not answered in both regions", lambda: self._told(questions), HEALED_WITHIN_S)
        verdict.judge(report, self._places, self._sites, ages)

    def stop(self) -> None:
        """Let nothing be sent or looked at any more."""
        for site in self._sites:
            site.stop()
        for arrivals in self._arrivals.values():
            arrivals.stop()

    # -- disasters -----------------------------------------------------------------------------------------------------

    def region_killed(self, disaster: Disaster, _options: Options) -> None:
        """Let a region be gone, its devices move, and the region come back."""
        lost, left = self._places
        killed = lost.kill()
        theirs = [site for site in self._sites if site.home == lost.name]
        moved: dict[str, float] = {}

        def all_moved() -> bool:
            for site in theirs:
                if site.name not in moved and (stored := self._stored_in(site, left, killed)) is not None:
                    moved[site.name] = stored - killed
            return len(moved) == len(theirs)

        self._wait("not all devices are stored in the region that is left", all_moved, MOVED_WITHIN_S)
        disaster.out_s = max(moved.values())
        self._behind(disaster, lost, left, killed)
        self._step("the region comes back")
        lost.start()
        back = time.monotonic()
        self._wait("devices do not come home", lambda: self._home(theirs, time.time() - POLL_S * 20), MOVED_WITHIN_S)
        self._wait("the regions do not come to have the same", self._caught_up(), HEALED_WITHIN_S)
        disaster.healed_s = time.monotonic() - back

    def link_cut(self, disaster: Disaster, options: Options) -> None:
        """Cut what connects the regions, both ways, and nothing else."""
        for place in self._places:
            place.link.turn(Mode.CUT)
        self._hold(options.hold_s)
        for place in self._places:
            place.link.turn(Mode.PASS)
        healed = time.monotonic()
        self._wait("the regions do not come to have the same", self._caught_up(), HEALED_WITHIN_S)
        disaster.healed_s = time.monotonic() - healed

    def database_killed(self, disaster: Disaster, options: Options) -> None:
        """Let a region's database be gone, and nothing else."""
        lost, _left = self._places
        lost.kill_database()
        self._hold(options.hold_s)
        lost.start_database()
        healed = time.monotonic()
        self._wait("the regions do not come to have the same", self._caught_up(), HEALED_WITHIN_S)
        disaster.healed_s = time.monotonic() - healed

    def _hold(self, hold_s: float) -> None:
        """Let it last, and see that every site is accepted at home all the time."""
        since = time.time()
        time.sleep(hold_s)
        self._wait(
            "not every device is accepted", lambda: all(site.since(since) for site in self._sites), FLOWS_WITHIN_S
        )
        strayed = {site.name for site in self._sites if any(one.region != site.home for one in site.since(since))}
        if strayed:
            raise ConnectorError(f"devices of {', '.join(sorted(strayed))} went to another region for nothing")

    # -- questions -----------------------------------------------------------------------------------------------------

    def _flows(self) -> bool:
        sent = all(site.accepted for site in self._sites)
        return sent and all(arrivals.seen.arrivals for arrivals in self._arrivals.values())

    def _home(self, sites: Sequence[Site], since: float) -> bool:
        return all(any(one.region == site.home for one in site.since(since)) for site in sites)

    def _accepted(self) -> int:
        return sum(site.book.accepted for site in self._sites)

    def _calm(self, options: Options) -> list[float]:
        """Let all be well for a while, and give how old records were when they arrived in the other region."""
        since = time.time()
        time.sleep(options.calm_s)
        return [
            one.at - one.accepted
            for arrivals in self._arrivals.values()
            for one in list(arrivals.seen.arrivals)
            if one.accepted >= since
        ]

    @staticmethod
    def _stored_in(site: Site, place: Place, since: float) -> float | None:
        """Give when it was seen that a site's readings are accepted by a region and stored there; None: not yet."""
        first = next((one for one in site.since(since) if one.region == place.name), None)
        if first is None:
            return None
        stream = site.book.stream
        wanted = stream.device(first.first), datetime.fromtimestamp(stream.ts_us(first.first) / SECOND_US, UTC)
        with psycopg.connect(place.database, connect_timeout=2) as connection:
            found = connection.execute("select from readings where device_id = %s and ts = %s", wanted).fetchone()
        return None if found is None else time.time()

    def _behind(self, disaster: Disaster, lost: Place, left: Place, killed: float) -> None:
        """Find what the lost region had accepted and nobody else had when it died."""
        time.sleep(max(0.0, killed + SETTLED_S - time.time()))
        seen = self._arrivals[left.name].seen.numbers
        oldest = killed
        for site in self._sites:
            there = seen.get(site.book.stream.name, set())
            for one in site.accepted:
                if one.region != lost.name or one.at > killed:
                    continue
                missing = [number for number in verdict.batch(one) if number not in there]
                if missing:
                    disaster.behind += len(missing)
                    oldest = min(oldest, one.at)
        disaster.behind_s = killed - oldest

    def _caught_up(self) -> Callable[[], bool]:
        """Make the question whether both databases have all that is accepted by now."""
        # Clocks of devices differ; what was accepted is compared, not what is about this moment.
        accepted = datetime.now(UTC)
        return lambda: self._same(accepted)

    def _alike(self) -> bool:
        return self._same(datetime.now(UTC))

    def _same(self, accepted: datetime) -> bool:
        wanted = checksums.Range(accepted - timedelta(days=30), accepted + timedelta(days=1), accepted)
        with contextlib.ExitStack() as held:
            one, other = (
                held.enter_context(psycopg.connect(place.database, connect_timeout=2)) for place in self._places
            )
            ours, theirs = checksums.by_hour(one, wanted), checksums.by_hour(other, wanted)
        enough = sum(rows for rows, _ in ours.values()) >= self._confirmed(accepted)
        return enough and ours == theirs

    def _confirmed(self, accepted: datetime) -> int:
        """Count the readings that were accepted by then; a second's are left out, for acceptance takes a while."""
        until = accepted.timestamp() - 1.0
        return sum(len(verdict.batch(one)) for site in self._sites for one in site.accepted if one.at < until)

    def _ask(self, place: Place) -> str:
        """Ask a region a question; give the task's id."""
        device = next(site for site in self._sites if site.home == place.name).book.stream.device(0)
        body = json.dumps({"device_id": device, "question": "Is anything unusual?"})
        where = urlsplit(place.gateway)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=WAIT_HTTP_S)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/tasks", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = json.loads(answer.read())
        if answer.status != http.client.ACCEPTED:
            raise ConnectorError(f"{place.name} does not take a question: {said}")
        return str(said["task_id"])

    def _told(self, tasks: Sequence[str]) -> bool:
        for place in self._places:
            with psycopg.connect(place.database, connect_timeout=2) as connection:
                row = connection.execute(
                    "select count(*) from insights where request_id = any(%s::uuid[])", (list(tasks),)
                ).fetchone()
            if row is None or row[0] < len(tasks):
                return False
        return True

    @staticmethod
    def _wait(trouble: str, true: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.Error):
                if true():
                    return
            time.sleep(POLL_S)
        raise ConnectorError(f"{trouble} within {within_s:.0f} s")


DISASTERS: Final[dict[str, Callable[[_Drill, Disaster, Options], None]]] = {
    "link cut": _Drill.link_cut,
    "database killed": _Drill.database_killed,
    "region killed": _Drill.region_killed,
}

LONG: Final = Options(tuple(DISASTERS), calm_s=15.0, hold_s=30.0)
SHORT: Final = replace(LONG, calm_s=1.0, hold_s=3.0, dns={"ttl_s": 4, "interval_s": 2, "timeout_s": 1, "successes": 2})


def _list(places: Sequence[Place], ground: Ground, options: Options) -> Regions:
    """Write the list of regions, the same for both."""
    said = {
        "regions": [
            {
                "name": place.name,
                "kafka": {"bootstrap_servers": f"{ports.LOOPBACK}:{place.link.port}", "replication_factor": 1},
                "addresses": [place.address],
                "nets": [REGIONS[place.name][1]],
            }
            for place in places
        ],
        "dns": {"zone": ZONE, "http_port": ground.http_port, "mqtt_port": ground.mqtt_port, **options.dns},
    }
    ground.regions_file.write_text(json.dumps(said, indent=2), encoding="utf-8")
    return Regions.model_validate(said)


def _sites(places: Sequence[Place], server: tuple[str, int], ground: Ground) -> list[Site]:
    return list(_made(places, server, ground))


def _made(places: Sequence[Place], server: tuple[str, int], ground: Ground) -> Iterator[Site]:
    regions = {place.address: place.name for place in places}
    present, start_us = Present(), int(time.time() * SECOND_US)
    kinds = {"mqtt": (MqttSite, ground.mqtt_port), "http": (HttpSite, ground.http_port)}
    for place in places:
        subnet = REGIONS[place.name][1].partition("/")[0]
        for kind, count in SITES.items():
            for number in range(count):
                book = Book(Stream(f"{place.name}-{kind}-{number}", DEVICES, STEP_US, start_us), present)
                site, port = kinds[kind]
                yield site(place.name, book, Resolver(server, f"{dns.DEVICES}.{ZONE}", subnet), regions, port)
