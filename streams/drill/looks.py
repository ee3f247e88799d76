"""What can be seen of two regions while a drill goes on. Whoever asks a database that is away gets its error."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import psycopg

from connectors.errors import ConnectorError
from connectors.timescale import checksums
from streams.drill import verdict
from streams.drill.arrivals import Arrivals
from streams.drill.layout import SECOND_US
from streams.drill.place import Place
from streams.drill.report import Disaster
from streams.drill.sites import Site

WAIT_HTTP_S: Final = 10.0
# What is on its way to the other region when a region dies comes in by then, or does not.
SETTLED_S: Final = 3.0


class Looks:
    """Looks at both regions, and at what the sites were told."""

    def __init__(self, places: Sequence[Place], sites: Sequence[Site]) -> None:
        """Nothing is looked at yet: `start`."""
        self._places = places
        self._sites = sites
        books = {site.book.stream.name: site.book for site in sites}
        self.arrivals = {
            place.name: Arrivals(place.kafka, f"{other.name}.readings", books)
            for place in places
            for other in places
            if other is not place
        }

    def start(self) -> None:
        """Begin to look at what arrives."""
        for arrivals in self.arrivals.values():
            arrivals.start()

    def stop(self) -> None:
        """Look no more."""
        for arrivals in self.arrivals.values():
            arrivals.stop()

    def ages(self, since: float) -> list[float]:
        """Give how old records that were accepted since then were when they arrived in the other region, in seconds."""
        return [
            one.at - one.accepted
            for arrivals in self.arrivals.values()
            for one in list(arrivals.seen.arrivals)
            if one.accepted >= since
        ]

    def flows(self) -> bool:
        """Say whether every site was accepted, and something came from region to region."""
        sent = all(site.accepted for site in self._sites)
        return sent and all(arrivals.seen.arrivals for arrivals in self.arrivals.values())

    @staticmethod
    def home(sites: Sequence[Site], since: float) -> bool:
        """Say whether each of these sites was accepted at home since then."""
        return all(any(one.region == site.home for one in site.since(since)) for site in sites)

    def accepted(self) -> int:
        """Count the readings that were accepted by now."""
        return sum(site.book.accepted for site in self._sites)

    @staticmethod
    def stored_in(site: Site, place: Place, since: float) -> float | None:
        """Give when it was seen that a site's readings are accepted by a region and stored there; None: not yet."""
        first = next((one for one in site.since(since) if one.region == place.name), None)
        if first is None:
            return None
        stream = site.book.stream
        wanted = stream.device(first.first), datetime.fromtimestamp(stream.ts_us(first.first) / SECOND_US, UTC)
        with psycopg.connect(place.database, connect_timeout=2) as connection:
            found = connection.execute("select from readings where device_id = %s and ts = %s", wanted).fetchone()
        return None if found is None else time.time()

    def behind(self, disaster: Disaster, lost: Place, left: Place, killed: float) -> None:
        """Find what the lost region had accepted and nobody else had when it died."""
        time.sleep(max(0.0, killed + SETTLED_S - time.time()))
        seen = self.arrivals[left.name].seen.numbers
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

    def caught_up(self) -> Callable[[], bool]:
        """Make the question whether both databases have all that is accepted by now."""
        # Clocks of devices differ; what was accepted is compared, not what is about this moment.
        accepted = datetime.now(UTC)
        return lambda: self._same(accepted)

    def alike(self) -> bool:
        """Say whether both databases have all that was accepted."""
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

    def ask(self, place: Place) -> str:
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

    def told(self, tasks: Sequence[str]) -> bool:
        """Say whether each region has the answers to all these questions."""
        for place in self._places:
            with psycopg.connect(place.database, connect_timeout=2) as connection:
                row = connection.execute(
                    "select count(*) from insights where request_id = any(%s::uuid[])", (list(tasks),)
                ).fetchone()
            if row is None or row[0] < len(tasks):
                return False
        return True
