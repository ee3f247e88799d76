"""The real gdnsd on what we tell it: the nearest region, the next one when it is ill, and back again."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from connectors.dns.configuration import ANSWERS, TAKES_READINGS, files
from connectors.embedded import gdnsd, ports
from connectors.embedded.server import StartError, UnavailableError
from connectors.regions import Regions
from streams.drill.resolver import Resolver

ZONE = "test.tidegate.example"
PLACES = {"us": "127.0.1.1", "eu": "127.0.2.1"}
NEAR = {"us": "10.1.7.7", "eu": "10.2.7.7"}
TTL_S = 4
WITHIN_S = 30.0


class Front:
    """A region's load balancer, of which the test says what it answers."""

    def __init__(self, address: str, port: int) -> None:
        self.ill: set[str] = set()
        front = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(HTTPStatus.SERVICE_UNAVAILABLE if self.path in front.ill else HTTPStatus.OK)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer((address, port), Answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def regions(http_port: int) -> Regions:
    return Regions.model_validate(
        {
            "regions": [
                {
                    "name": name,
                    "kafka": {"bootstrap_servers": "kafka:9092"},
                    "addresses": [address],
                    "nets": [f"{NEAR[name].rpartition('.')[0].rpartition('.')[0]}.0.0/16"],
                }
                for name, address in PLACES.items()
            ],
            # Both checks of devices ask the same port: the one for MQTT only connects.
            "dns": {
                "zone": ZONE,
                "http_port": http_port,
                "mqtt_port": http_port,
                "ttl_s": TTL_S,
                "interval_s": 2,
                "timeout_s": 1,
                "failures": 1,
                "successes": 1,
            },
        }
    )


@pytest.fixture(autouse=True)
def _gdnsd_or_skip() -> None:
    try:
        gdnsd.command()
    except UnavailableError as error:
        pytest.skip(f"needs a name server: {error}")


@pytest.fixture
def fronts() -> Iterator[tuple[int, dict[str, Front]]]:
    port = ports.free()
    opened = {name: Front(address, port) for name, address in PLACES.items()}
    yield port, opened
    for front in opened.values():
        front.close()


@pytest.fixture
def asked(
    servers_dir: Path, fronts: tuple[int, dict[str, Front]]
) -> Iterator[Callable[[str, str], tuple[str, int] | None]]:
    """Ask for a name from near a region; give the address and the TTL."""
    folder, port = servers_dir / f"gdnsd-{fronts[0]}", ports.free()
    gdnsd.write(folder, files(regions(fronts[0]), listen=f"127.0.0.1:{port}", folder=str(folder)))
    running = gdnsd.start(folder)
    yield lambda name, near: Resolver((ports.LOOPBACK, port), f"{name}.{ZONE}", NEAR[near]).ask()
    running.stop()


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_the_nearest_that_is_well_is_answered(
    asked: Callable[[str, str], tuple[str, int] | None], fronts: tuple[int, dict[str, Front]]
) -> None:
    def leads(name: str, near: str) -> str:
        found = asked(name, near)
        return next((region for region, address in PLACES.items() if found and found[0] == address), "")

    def all_lead(**wanted: str) -> bool:
        return all(leads(name, "us") == region for name, region in wanted.items())

    until(lambda: leads("in", "us") == "us" and leads("in", "eu") == "eu", "each goes to the region that is near")
    found = asked("in", "us")
    assert found is not None
    assert 0 < found[1] <= TTL_S

    _, opened = fronts
    opened["us"].ill = {ANSWERS}  # its database is away, say
    until(lambda: all_lead(api="eu"), "people are sent to the other region")
    assert all_lead(**{"in": "us"})  # which goes on taking readings

    opened["us"].ill = {ANSWERS, TAKES_READINGS}
    until(lambda: all_lead(**{"in": "eu"}), "so are devices")
    opened["us"].ill = set()
    until(lambda: all_lead(api="us", **{"in": "us"}), "and all come home")

    opened["us"].close()
    until(lambda: all_lead(api="eu", **{"in": "eu"}), "a region that is gone is withdrawn")


def test_gdnsd_itself_says_what_is_wrong(tmp_path: Path) -> None:
    made = files(regions(8080), listen="127.0.0.1:5353", folder=str(tmp_path))
    gdnsd.write(tmp_path, {**made, "config": made["config"].replace('"http_status"', '"no_such_plugin"')})
    with pytest.raises(StartError, match="no_such_plugin"):
        gdnsd.check(tmp_path)


def test_who_is_in_no_ones_net_goes_to_the_region_that_is_nearest_on_the_globe(
    servers_dir: Path, tmp_path: Path
) -> None:
    paris, new_york, nowhere = "198.51.100.7", "203.0.113.7", "192.0.2.7"
    city = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoIP2-City")
    for network, latitude, longitude in (("198.51.100.0/24", 48.8, 2.3), ("203.0.113.0/24", 40.7, -74.0)):
        city.insert_network(IPSet([network]), {"location": {"latitude": latitude, "longitude": longitude}})
    file, port, server = tmp_path / "city.mmdb", ports.free(), ports.free()
    city.to_db_file(str(file))
    said = regions(port).model_dump(mode="json")
    said["dns"]["geoip2_db"] = str(file)
    for region, latitude, longitude in ((0, 39.0, -77.5), (1, 53.3, -6.3)):
        said["regions"][region] |= {"latitude": latitude, "longitude": longitude, "nets": []}
    folder = servers_dir / f"gdnsd-globe-{port}"
    made = files(Regions.model_validate(said), listen=f"127.0.0.1:{server}", folder=str(folder))
    gdnsd.write(folder, made)
    running = gdnsd.start(folder)

    def leads(client: str) -> str:
        found = Resolver((ports.LOOPBACK, server), f"in.{ZONE}", client).ask()
        return next((region for region, address in PLACES.items() if found and found[0] == address), "")

    # Nobody is well there: then all count as if they were, for somebody may be.
    until(lambda: bool(leads(nowhere)), "it answers")
    assert (leads(paris), leads(new_york), leads(nowhere)) == ("eu", "us", "us")
    running.stop()
