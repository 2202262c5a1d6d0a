"""A process that is killed while it fills a spool, or while it empties one.

`python -m tests.integration.spool_worker` reads a JSON object with the fields of `Errand` from its standard input.
"""

import asyncio
import resource
import signal
import sys
from pathlib import Path

import msgspec

from gateway.books.in_process import InProcessBooks
from gateway.books.last_words import LastWord
from gateway.books.spool import Spool
from ledger.service import Ledger
from tests.integration import scenes


class Errand(msgspec.Struct):
    """What a process does: put requests `first`, `first` + 1 … without end, or post what others put with a `url`.

    With `bytes_max` the kernel kills it in the middle of writing a longer file.
    """

    directory: str
    first: int = 0
    url: str = ""
    bytes_max: int = 0


def last_words(number: int) -> list[LastWord]:
    """Return how a request ends: after one failed attempt it is settled."""
    return [scenes.fail_attempt(f"r{number}"), scenes.settle(f"r{number}", attempt=2)]


def put_without_end(errand: Errand) -> None:
    """Put one request after the other, and say the number of each that is safe."""
    spool = Spool(Path(errand.directory))
    number = errand.first
    if errand.bytes_max:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (errand.bytes_max, errand.bytes_max))
    while True:
        spool.put(f"r{number}", last_words(number))
        say(number)
        number += 1


def post_what_waits(errand: Errand) -> None:
    """Post all of the spool, and say when it begins and ends."""
    with Ledger(errand.url, sweep_seconds=600) as ledger:
        say("ready")
        sys.stdin.readline()
        asyncio.run(Spool(Path(errand.directory)).post_all(InProcessBooks(ledger)))
        say("done")


def say(word: object) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    told = msgspec.json.decode(sys.stdin.readline(), type=Errand)
    (post_what_waits if told.url else put_without_end)(told)
