"""An application with one endpoint that does nothing: what the framework and the server cost by themselves."""

import msgspec
from litestar import Litestar, post

EMPTY_PATH = "/empty"


class Small(msgspec.Struct, frozen=True):
    """The empty endpoint's body, and its answer."""

    request_id: str
    position: int
    tag: str


@post(EMPTY_PATH)
async def answer_small(data: Small) -> Small:
    """Do nothing."""
    return data


def create_empty_app() -> Litestar:
    """Return the application, with nothing switched on that the real one has off."""
    return Litestar([answer_small], openapi_config=None, logging_config=None, debug=False)
