"""SQL lives in files, each statement under a `-- name:` line. Here it is read, once per file."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import LiteralString

MARK = "-- name: "


@cache
def load_queries(package: str, file: str) -> Mapping[str, LiteralString]:
    """Return the statements of a package's SQL file by name, without their comments.

    Raises ValueError for a file that does not begin with a name, or names one statement twice.
    """
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    queries: dict[str, LiteralString] = {}
    head, *blocks = text.split(MARK)
    if any(line.strip() and not line.startswith("--") for line in head.splitlines()):
        raise ValueError(f"{file} has a statement without a name")
    for block in blocks:
        name, _, body = block.partition("\n")
        if name.strip() in queries:
            raise ValueError(f"{file} names {name.strip()} twice")
        lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
        # The text is a file of this package and never anything from outside: that is what LiteralString says.
        queries[name.strip()] = "\n".join(lines).strip()
    return queries
