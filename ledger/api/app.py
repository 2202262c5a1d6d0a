"""The application's parts, and an application of these parts alone.

The composition root mounts more beside them: pass its routers to `create_app`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from ledger.api.access import create_authorization
from ledger.api.batches import create_batch_handler
from ledger.api.checkpoints import create_checkpoint_handlers
from ledger.api.command_table import BASE_PATH
from ledger.api.context import ApiContext
from ledger.api.decoding import BODY_BYTES_MAX
from ledger.api.description import PartDescription, create_description_handlers, openapi_config
from ledger.api.docs_page import create_docs_handlers
from ledger.api.health import create_health_handlers
from ledger.api.naming import create_naming_handlers
from ledger.api.operating import create_operating_handlers
from ledger.api.posting import create_post_handlers
from ledger.api.problem_pages import create_problem_handlers
from ledger.api.problems import exception_handlers
from ledger.api.reading import create_read_handlers
from ledger.api.responses import finish_headers
from ledger.service import Ledger

Part = BaseRouteHandler | Router


def create_router(context: ApiContext) -> Router:
    """Return `/ledger/v1`: posts, batches, names, and the reads that the write side answers itself."""
    return Router(
        path=BASE_PATH,
        route_handlers=[
            *create_post_handlers(context),
            create_batch_handler(context),
            *create_naming_handlers(context),
            *create_read_handlers(context),
            *create_checkpoint_handlers(context),
            *create_operating_handlers(context),
        ],
        request_max_body_size=BODY_BYTES_MAX,
        tags=["ledger"],
    )


def create_app(
    ledger: Ledger,
    *,
    context: ApiContext | None = None,
    parts: Sequence[Part] = (),
    descriptions: Sequence[PartDescription] = (),
    lifespan: Sequence[Callable[[Litestar], AbstractAsyncContextManager[None]]] = (),
    metrics_open: bool = False,
) -> Litestar:
    """Return the application: the ledger's own parts and those that the composition root adds.

    Every route, an added one too, must declare its scopes in `opt` (see `access.requires`) or answers nobody.
    """
    context = context or ApiContext(ledger)
    own: list[Any] = [
        create_router(context),
        *create_health_handlers(context, metrics_open=metrics_open),
        *create_problem_handlers(),
        *create_description_handlers(),
        *create_docs_handlers(),
    ]
    return Litestar(
        route_handlers=[*own, *parts],
        middleware=[create_authorization(ledger)],
        exception_handlers=exception_handlers(context.metrics.refused),
        before_send=[finish_headers],
        lifespan=list(lifespan),
        state=State({"described_parts": tuple(descriptions)}),
        openapi_config=openapi_config(),
        logging_config=None,
        debug=False,
    )
