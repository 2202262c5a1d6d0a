"""Files that travel with the package: the schema, wherever this code runs from."""

from importlib.resources import files
from pathlib import Path

__all__ = ["read_schema"]


def read_schema() -> str:
    """
    Return the text of `schema.sql`.

    In a wheel it lies beside this module; in a checkout it lies at the top, where people look for it.
    """
    packaged = files("ledger.store") / "schema.sql"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "schema.sql").read_text(encoding="utf-8")
