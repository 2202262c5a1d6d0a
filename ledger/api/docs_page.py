"""The page at `/ledger/v1/docs`. Its scripts come from an installed package: no request leaves this server."""

from pathlib import Path

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive
from swagger_ui_bundle import swagger_ui_path

from ledger.api.access import PUBLIC
from ledger.api.command_table import BASE_PATH
from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import Headers, ReadyResponse, get_handler

DOCS_PATH = f"{BASE_PATH}/docs"
ASSETS_PATH = f"{DOCS_PATH}/assets"

PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Route Ledger: posting</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{ASSETS_PATH}/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="{ASSETS_PATH}/swagger-ui-bundle.js"></script>
<script src="{ASSETS_PATH}/start.js"></script>
</body>
</html>
""".encode()
START = f"""window.ui = SwaggerUIBundle({{
  url: "{BASE_PATH}/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null
}});
""".encode()

CONTENT_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    b" connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Headers = ((b"content-security-policy", CONTENT_POLICY),)
ASSET_HEADERS: Headers = ((b"cache-control", b"public, max-age=3600"),)
JAVASCRIPT = b"text/javascript; charset=utf-8"


def read_assets() -> dict[str, ReadyResponse]:
    """Return the page's scripts and style by name, as they are answered."""
    folder = Path(swagger_ui_path)
    return {
        "start.js": ReadyResponse(200, START, ASSET_HEADERS, JAVASCRIPT),
        "swagger-ui-bundle.js": ReadyResponse(
            200, (folder / "swagger-ui-bundle.js").read_bytes(), ASSET_HEADERS, JAVASCRIPT
        ),
        "swagger-ui.css": ReadyResponse(
            200, (folder / "swagger-ui.css").read_bytes(), ASSET_HEADERS, b"text/css; charset=utf-8"
        ),
    }


def create_docs_handlers() -> list[HTTPRouteHandler]:
    """Return the handlers of the page and of what it loads."""
    assets = read_assets()

    async def docs(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return ReadyResponse(200, PAGE, PAGE_HEADERS, b"text/html; charset=utf-8")

    async def docs_asset(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        asset = assets.get(scope["path_params"]["asset"])
        if asset is None:
            raise HttpRefused(HttpRefusal.NOT_FOUND, "the page has no such part")
        return asset

    return [
        get_handler(DOCS_PATH, docs, PUBLIC, include_in_schema=False),
        get_handler(ASSETS_PATH + "/{asset:str}", docs_asset, PUBLIC, include_in_schema=False),
    ]
