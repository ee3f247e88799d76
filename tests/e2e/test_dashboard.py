"""The dashboard in a real browser, on a gateway and workers with real servers behind them."""

import json
import math
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from connectors.embedded import ports
from schemas.models import Reading
from tests.e2e.conftest import Flow, Process, eventually
from tests.fakes.stand_in import StandIn

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.redis, pytest.mark.timeout(300)]

EVIL = '<img src=x onerror="document.title=1">'
NOW = datetime.now(UTC).replace(microsecond=0)
expect.set_options(timeout=20_000)
# Where pictures of the page are left, for people to look at.
PICTURES = os.environ.get("TIDEGATE_TEST_PICTURES")


# Not longer than this module: while Playwright is there it has an event loop, and no other test could run one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    path = next(filter(None, found), None)
    if path is None:
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which no script may fail, and which nothing may be loaded from elsewhere."""
    opened = browser.new_page(viewport={"width": 1440, "height": 1100})
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # What the gateway refuses is shown on the page, and the browser says so, too.
        if message.type == "error" and "Failed to load resource" not in message.text:
            said.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            said.append(request.url)

    opened.on("console", heard)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", asked)
    yield opened
    opened.close()
    assert said == []


def wave(device: str, count: int = 360) -> list[Reading]:
    """Give readings of the last hour, slow waves with noise, and one jump."""
    start, dice = NOW - timedelta(seconds=10 * count), Random(device)  # noqa: S311  # the same in every run

    def temperature(n: int) -> float:
        return 61.0 + 3.0 * math.sin(n / 50) + dice.gauss(0, 0.3) + (24.0 if 300 <= n < 306 else 0.0)

    return [
        Reading(
            device_id=device,
            ts=start + timedelta(seconds=10 * n),
            metrics={"temperature": round(temperature(n), 2), "pressure": round(4.0 + dice.gauss(0, 0.05), 3)},
            units={"temperature": "°C", "pressure": "bar"},
            tags={"class": "pump", "site": EVIL if device == "pump-2" else "hall 4"},
        )
        for n in range(count)
    ]


def answer(evil: str = "") -> str:
    """Give what a model says, whatever it is asked."""
    said = {
        "n": 1,
        "summary": f"{{metric}} of {{device}} is {{value}}, which is far from usual; it was a short jump.{evil}",
        "probable_causes": [f"A short blockage on the suction side.{evil}", "A loose sensor."],
        "recommended_actions": ["Look at the strainer.", "Compare with the other sensor."],
        "severity": "warning",
        "confidence": 0.8,
    }
    return json.dumps({"answers": [said]})


@pytest.fixture
def lived(flow: Flow, stand_in: StandIn) -> tuple[str, Process]:
    """A gateway whose devices have spoken, and a model that answers."""
    endpoints = [{"name": "stand-in", "base_url": stand_in.url, "api_key": "k", "model": "gpt-4o-mini"}]
    stand_in.content(answer())
    port = ports.free()
    gateway = flow.start("gateway", TIDEGATE_HTTP__PORT=str(port))
    for lane in ("ingest", "analyze"):
        flow.start("worker", "--lane", lane, TIDEGATE_LLM__ENDPOINTS=json.dumps(endpoints))
    for device in ("pump-1", "pump-2", "fan-1"):
        flow.produce(wave(device))
    eventually(flow.drained, "readings are stored")
    return f"http://127.0.0.1:{port}", gateway


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.wait_for_timeout(4_000)  # all is drawn anew
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def test_people_see_the_fleet_a_device_and_ask_about_it(
    lived: tuple[str, Process], page: Page, flow: Flow, stand_in: StandIn
) -> None:
    url, gateway = lived
    page.goto(url)
    expect(page.locator("#connection")).to_have_text("live")
    tiles = page.locator("#tiles .tile")
    expect(tiles.filter(has_text="devices")).to_contain_text("3")
    expect(tiles.filter(has_text="values stored").last).to_contain_text("2,160")

    # By keyboard alone.
    page.locator("#filter").fill("pump")
    expect(page.locator("#devices li")).to_have_count(2)
    page.locator("#devices button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#device-title")).to_have_text("pump-1")
    page.locator("#metric").select_option("temperature")
    expect(page.locator("#chart .main-svg").first).to_be_visible()
    expect(page.locator("#chart-says")).to_contain_text("360 readings")
    expect(page.locator("#chart")).to_have_attribute(
        "aria-label", re.compile("temperature of pump-1 from .* insights?")
    )

    expect(page.locator("#points")).not_to_be_visible()
    page.locator("#as-table summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#as-table summary")).to_have_text("As a table: the latest 100 of 360 points")
    expect(page.locator("#points thead th")).to_have_text(["Time", "temperature, °C"])
    expect(page.locator("#points tbody tr")).to_have_count(100)
    last = wave("pump-1")[-1].metrics["temperature"]
    expect(page.locator("#points tbody td").nth(1)).to_have_text(f"{last:g}")
    page.keyboard.press("Enter")

    why = ask(page, "Is it warmer than usual?")
    expect(why).to_contain_text("gpt-4o-mini")
    expect(why).to_contain_text("A loose sensor.")
    why.get_by_role("button", name="It is not").click()
    expect(page.locator("#said")).to_contain_text("asked anew")
    picture(page, "why")
    page.keyboard.press("Escape")
    expect(page.locator("#insights li").first).to_contain_text("warning")
    expect(page.locator("#sources")).to_contain_text("model")
    expect(page.locator("#endpoints")).to_contain_text("stand-in")
    picture(page, "dashboard")
    page.emulate_media(color_scheme="dark")
    picture(page, "dark")

    # What devices and models say is shown, and never run.
    stand_in.content(answer(EVIL))
    page.locator("#devices button").last.click()
    expect(page.locator("#device-facts")).to_contain_text(EVIL)
    expect(ask(page, f"Is it {EVIL}?")).to_contain_text(f"A short blockage on the suction side.{EVIL}")
    page.keyboard.press("Escape")
    expect(page.locator("#answer")).to_contain_text(EVIL)
    assert page.title() == "Tidegate"
    assert page.locator("img").count() == 0

    # It says so when it cannot know, and when it can again.
    gateway.kill()
    expect(page.locator("#connection")).to_contain_text("not up to date")
    flow.start("gateway", TIDEGATE_HTTP__PORT=url.rpartition(":")[2])
    expect(page.locator("#connection")).to_have_text("live")


def ask(page: Page, question: str) -> Locator:
    """Ask about the device that is shown, wait for the answer, and open why it was given."""
    page.locator("#question").fill(question)
    page.locator("#ask button").click()
    page.locator("#answer").get_by_role("button").click(timeout=20_000)
    return page.locator("#why")


def test_with_nothing_there_it_says_so(flow: Flow, page: Page) -> None:
    port = ports.free()
    flow.start("gateway", TIDEGATE_HTTP__PORT=str(port), TIDEGATE_REDIS__URL="")  # workers of other tests told it
    page.goto(f"http://127.0.0.1:{port}")
    expect(page.locator("#no-devices")).to_have_text("No device has spoken yet.")
    expect(page.locator("#money")).to_contain_text("Nobody has answered")
    expect(page.locator("#no-endpoints")).to_be_visible()
    picture(page, "empty")


def test_it_asks_for_a_key_and_keeps_it_in_the_tab(flow: Flow, page: Page) -> None:
    port = ports.free()
    flow.start("gateway", TIDEGATE_HTTP__PORT=str(port), TIDEGATE_HTTP__OPEN="false")
    made = flow.run("keys", "create", "dashboard", "--scope", "admin", "--json")
    key = json.loads(made.stdout)["key"]
    page.goto(f"http://127.0.0.1:{port}")
    dialog = page.locator("#key-dialog")
    expect(dialog).to_be_visible()
    page.locator("#key-text").fill("tg_wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#key-says")).to_contain_text("opens nothing")
    page.locator("#key-text").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#connection")).to_have_text("live")
    page.reload()
    expect(page.locator("#connection")).to_have_text("live")
    assert page.evaluate("document.cookie") == ""
    assert key not in page.content()


def test_its_files_are_guarded(flow: Flow) -> None:
    port = ports.free()
    flow.start("gateway", TIDEGATE_HTTP__PORT=str(port))
    for path in ("/", "/static/app.js", "/static/style.css", "/vendor/plotly.min.js"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:  # our own
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = answer.headers["content-security-policy"]
            assert "'unsafe-eval'" not in policy
            assert "script-src 'self'" in policy or "default-src 'none'" in policy
