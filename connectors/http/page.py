"""`GET /`: devices and the latest insights on one plain page, which loads nothing from anywhere.

Whatever comes from devices or models is escaped, stands in an element of its own direction, and could not run if it
tried: the page's policy allows its one style sheet, by its hash, and nothing else.
"""

import base64
import hashlib
import logging
from collections.abc import Iterable, Sequence
from html import escape
from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from connectors.errors import ConnectorError
from connectors.http.parts import Device, Parts
from schemas.instants import to_text
from schemas.models import Insight

log = logging.getLogger(__name__)

DEVICES = 50
INSIGHTS = 20

STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;"
    "padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8886}td{overflow-wrap:anywhere}"
    ".critical{font-weight:bold;text-decoration:underline}.warning{font-weight:bold}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def routes(parts: Parts) -> APIRouter:
    """Give the route."""
    router = APIRouter()

    @router.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        """Show devices and the latest insights, where nobody is asked for a key."""
        if parts.keys is not None:
            return _html("<p>Here a key is needed for everything: ask the API.</p>", HTTPStatus.OK)
        try:
            devices = await parts.reader.devices(tenant=None, after="", limit=DEVICES + 1)
            insights = await parts.reader.insights(tenant=None, only={}, before=None, limit=INSIGHTS)
        except ConnectorError as error:
            log.warning("%s", error)
            missing = '<p role="alert">The database does not answer. <a href="/readyz">/readyz</a> says more.</p>'
            return _html(missing, HTTPStatus.SERVICE_UNAVAILABLE)
        return _html(_devices(devices) + _insights(insights), HTTPStatus.OK)

    return router


def _html(content: str, status: HTTPStatus) -> HTMLResponse:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Tidegate</title>'
        f"<style>{STYLE}</style></head><body><h1>Tidegate</h1>"
        '<p><a href="/v1/devices">Devices</a>, <a href="/v1/insights">insights</a> and '
        '<a href="/openapi.json">what else can be asked</a>, as JSON. '
        'State: <a href="/readyz">ready?</a></p>'
        f"<main>{content}</main></body></html>"
    )
    return HTMLResponse(text, status, {"Content-Security-Policy": POLICY})


def _devices(devices: Sequence[Device]) -> str:
    if not devices:
        return "<h2>Devices</h2><p>No device has been stored yet.</p>"
    rows = (
        (_device_link(device.device_id), _text(device.device_class), _text(to_text(device.last_seen)))
        for device in devices[:DEVICES]
    )
    rest = f"<p>These are the first {DEVICES}, by id.</p>" if len(devices) > DEVICES else ""
    return "<h2>Devices</h2>" + _table(("Device", "Class", "Last heard"), rows) + rest


def _insights(insights: Sequence[Insight]) -> str:
    if not insights:
        return "<h2>Latest insights</h2><p>There is no insight yet.</p>"
    rows = (
        (
            f'<span class="{escape(insight.severity)}">{escape(insight.severity)}</span>',
            _device_link(insight.device_id),
            _text(insight.metric),
            f"{_text(to_text(insight.window_start))} to {_text(to_text(insight.window_end))}",
            _text(insight.summary),
            _text(f"{insight.source} {insight.model or ''}".strip()),
        )
        for insight in insights
    )
    head = ("Severity", "Device", "Metric", "Window", "Summary", "Said by")
    return "<h2>Latest insights</h2>" + _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return f"<bdi>{escape(text)}</bdi>"


def _device_link(device_id: str) -> str:
    return f'<a href="/v1/devices/{escape(quote(device_id, safe=""))}/readings">{_text(device_id)}</a>'
