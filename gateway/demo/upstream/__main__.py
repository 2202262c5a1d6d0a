"""The upstream as a program of its own: `python -m gateway.demo.upstream --port 9100`."""

import argparse

import uvicorn

from gateway.demo.upstream.application import create_upstream


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m gateway.demo.upstream", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--required-key", help="refuse calls that come without this key")
    parser.add_argument("--remembered-calls", type=int, default=100_000, help="how many calls are kept one by one")
    given = parser.parse_args()
    uvicorn.run(
        create_upstream(given.required_key, given.remembered_calls),
        host=given.host,
        port=given.port,
        access_log=False,
        lifespan="off",
        # A connection that was told to be cut is an error to the server.
        log_level="critical",
        server_header=False,
        date_header=False,
    )


if __name__ == "__main__":
    main()
