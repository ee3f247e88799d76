"""`GET /`: the dashboard. It is files: a page, a style sheet, scripts of ours, and Plotly's, from its wheel.

The page's policy lets it load and ask nothing but this gateway, and run nothing but these files. Plotly sets styles of
elements that it makes, which is why styles may be inline; what comes from devices or models is set as text throughout.
https://www.w3.org/TR/CSP3/
"""

import importlib.util
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

STATIC: Final = Path(__file__).parent / "static"
FILES: Final = frozenset({"style.css", "app.js", "api.js", "chart.js", "dom.js"})
KINDS: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A file is asked about again each time; nothing is sent while it is the same.
FRESH: Final = {"Cache-Control": "no-cache"}


def routes() -> APIRouter:
    """Give the routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        """Show the dashboard."""
        headers = {"Content-Security-Policy": POLICY, **FRESH}
        return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8", headers=headers)

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        """Give one of the page's files."""
        if name not in FILES:
            raise HTTPException(404)
        return FileResponse(STATIC / name, media_type=KINDS[Path(name).suffix], headers=FRESH)

    @router.get("/vendor/plotly.min.js")
    async def plotly() -> Response:
        """Give Plotly's script, which is as long as all else together and changes with its version only."""
        headers = {"Cache-Control": "public, max-age=86400"}
        return FileResponse(_plotly(), media_type=KINDS[".js"], headers=headers)

    return router


def _plotly() -> Path:
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise HTTPException(404)
    return Path(next(iter(found.submodule_search_locations))) / "package_data" / "plotly.min.js"
