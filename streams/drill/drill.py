"""One drill, from empty regions to the verdict."""

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import psycopg

from connectors.dns import configuration as dns
from connectors.embedded import gdnsd, lock, ports
from connectors.embedded.proxy import Mode, Proxies
from connectors.errors import ConnectorError
from streams.drill import layout, verdict
from streams.drill.looks import Looks
from streams.drill.place import Ground, Place, start_all
from streams.drill.report import Disaster, Report
from streams.drill.sites import Site

FLOWS_WITHIN_S: Final = 60.0
MOVED_WITHIN_S: Final = 120.0
HEALED_WITHIN_S: Final = 180.0
POLL_S: Final = 0.1

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
        places = [Place(name, address, ground) for name, (address, _) in layout.REGIONS.items()]
        for place in places:
            held.callback(place.stop)
        regions = layout.listed(places, ground, options.dns)
        step("starting two regions")
        start_all(places)
        server = ports.LOOPBACK, ports.free()
        gdnsd.write(folder / "dns", dns.files(regions, listen=f"{server[0]}:{server[1]}", folder=str(folder / "dns")))
        held.callback(gdnsd.start(folder / "dns").stop)
        say(f"two regions run after {time.monotonic() - started:.0f} s")
        drill = _Drill(places, layout.sites(places, server, ground), say, step)
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
        self._looks = Looks(places, sites)

    def run(self, report: Report, options: Options) -> None:
        """Let readings flow, bring the disasters about, heal, compare."""
        self._looks.start()
        for site in self._sites:
            site.start()
        self._step("letting readings flow")
        self._wait("readings do not flow from region to region", self._looks.flows, FLOWS_WITHIN_S)
        self._wait("the regions do not come to have the same", self._looks.caught_up(), HEALED_WITHIN_S)
        ages = self._calm(options)
        for name in options.disasters:
            self._step(name)
            before = self._looks.accepted()
            disaster = Disaster(name)
            DISASTERS[name](self, disaster, options)
            disaster.accepted = self._looks.accepted() - before
            report.disasters.append(disaster)
            moved = "" if disaster.out_s is None else f"moved after {disaster.out_s:.1f} s, "
            self._say(f"{name}: {moved}healed after {disaster.healed_s:.1f} s")
            ages += self._calm(options)
        self._step("comparing")
        for site in self._sites:
            site.stop()
        for site in self._sites:
            site.join(MOVED_WITHIN_S)
        questions = [self._looks.ask(place) for place in self._places]
        self._wait("the regions do not come to have the same", self._looks.alike, HEALED_WITHIN_S)
        self._wait("a question is not answered in both regions", lambda: self._looks.told(questions), HEALED_WITHIN_S)
        verdict.judge(report, self._places, self._sites, ages)

    def stop(self) -> None:
        """Let nothing be sent or looked at any more."""
        for site in self._sites:
            site.stop()
        self._looks.stop()

    def _calm(self, options: Options) -> list[float]:
        """Let all be well for a while; give how old records were meanwhile when they arrived in the other region."""
        since = time.time()
        time.sleep(options.calm_s)
        return self._looks.ages(since)

    # -- disasters -----------------------------------------------------------------------------------------------------

    def region_killed(self, disaster: Disaster, _options: Options) -> None:
        """Let a region be gone, its devices move, and the region come back."""
        lost, left = self._places
        killed = lost.kill()
        theirs = [site for site in self._sites if site.home == lost.name]
        moved: dict[str, float] = {}

        def all_moved() -> bool:
            for site in theirs:
                if site.name not in moved and (stored := self._looks.stored_in(site, left, killed)) is not None:
                    moved[site.name] = stored - killed
            return len(moved) == len(theirs)

        self._wait("not all devices are stored in the region that is left", all_moved, MOVED_WITHIN_S)
        disaster.out_s = max(moved.values())
        self._looks.behind(disaster, lost, left, killed)
        self._step("the region comes back")
        lost.start()
        back = time.monotonic()
        self._wait(
            "devices do not come home", lambda: self._looks.home(theirs, time.time() - POLL_S * 20), MOVED_WITHIN_S
        )
        self._wait("the regions do not come to have the same", self._looks.caught_up(), HEALED_WITHIN_S)
        disaster.healed_s = time.monotonic() - back

    def link_cut(self, disaster: Disaster, options: Options) -> None:
        """Cut what connects the regions, both ways, and nothing else."""
        for place in self._places:
            place.link.turn(Mode.CUT)
        self._hold(options.hold_s)
        for place in self._places:
            place.link.turn(Mode.PASS)
        healed = time.monotonic()
        self._wait("the regions do not come to have the same", self._looks.caught_up(), HEALED_WITHIN_S)
        disaster.healed_s = time.monotonic() - healed

    def database_killed(self, disaster: Disaster, options: Options) -> None:
        """Let a region's database be gone, and nothing else."""
        lost, _left = self._places
        lost.kill_database()
        self._hold(options.hold_s)
        lost.start_database()
        healed = time.monotonic()
        self._wait("the regions do not come to have the same", self._looks.caught_up(), HEALED_WITHIN_S)
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
