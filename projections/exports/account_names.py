"""Account names of plain-text accounting: unique per workspace, bucket and account, and reversible. Pure.

`wallet.available` in the bucket `credit` of `acme` is `Liabilities:Acme:Credit:Wallet:Available`. What the programs
that read these files have in common are parts of ASCII letters, digits and dashes that begin with a capital letter or a
digit. So a name's first letter becomes a capital, `.` becomes `Dot`, and what else is not allowed becomes its code
point between two `X`. Names that begin with anything but a small letter or 1 to 9 are written after a 0.
"""

import re

from ledger.core.accounts import KIND_BY_NAME, kind_of

__all__ = [
    "OPENING_BALANCES",
    "account_name",
    "link_name",
    "opening_account",
    "read_account",
    "read_part",
    "write_part",
]

OPENING_BALANCES = "Equity:Opening-Balances"
"""No workspace has this name: a capital letter within a part begins `Dot` or a code point."""

PLAIN_PART = re.compile(r"[a-z1-9][a-z0-9-]*\Z")
UNUSUAL = re.compile(r"[^a-z0-9-]")
WRITTEN = re.compile(r"Dot|X([0-9a-f]+)X")
UNLINKABLE = re.compile(r"[^A-Za-z0-9._-]")


def write_part(name: str) -> str:
    """Return a name as one part of an account's: no other name is written alike."""
    if PLAIN_PART.match(name):
        return name[0].upper() + name[1:]
    if name[:1] in set("abcdefghijklmnopqrstuvwxyz123456789"):
        return name[0].upper() + UNUSUAL.sub(_write_character, name[1:])
    return "0" + UNUSUAL.sub(_write_character, name)


def read_part(part: str) -> str:
    """Return the name that `write_part` was given."""
    first = "" if part[:1] == "0" else part[:1].lower()
    return first + WRITTEN.sub(_read_character, part[1:])


def account_name(workspace_id: str, bucket: str, account: str) -> str:
    """Return the name of an account in plain text. Raises KeyError for a name that is no account's."""
    kind = kind_of(account)
    words = [word.capitalize() for word in kind.kind.split(".")]
    named = [write_part(account.removeprefix(f"{kind.kind}."))] if kind.named else []
    return ":".join([kind.root, write_part(workspace_id), write_part(bucket), *words, *named])


def read_account(name: str) -> tuple[str, str, str]:
    """Return workspace, bucket and account of a name in plain text. Raises KeyError for another name."""
    parts = name.split(":")
    if len(parts) < 4:
        raise KeyError(name)
    _, workspace, bucket, *words = parts
    kind = KIND_BY_NAME.get(".".join(words).lower()) or KIND_BY_NAME[words[0].lower()]
    account = f"{kind.kind}.{read_part(words[-1])}" if kind.named else kind.kind
    told = read_part(workspace), read_part(bucket), account
    if account_name(*told) != name:
        raise KeyError(name)
    return told


def opening_account(workspace_id: str, bucket: str) -> str:
    """Return the account against which a bucket's balances are brought in when a period begins later than its book."""
    return f"{OPENING_BALANCES}:{write_part(workspace_id)}:{write_part(bucket)}"


def link_name(workspace_id: str, request_id: str) -> str:
    """Return what ties a request's transactions together, after `^`: letters, digits and `._-/` only."""
    return f"{workspace_id}/{UNLINKABLE.sub(_write_unlinkable, request_id)}"


def _write_character(found: re.Match[str]) -> str:
    character = found.group()
    return "Dot" if character == "." else f"X{ord(character):x}X"


def _read_character(found: re.Match[str]) -> str:
    return chr(int(found.group(1), 16)) if found.group(1) else "."


def _write_unlinkable(found: re.Match[str]) -> str:
    return f"/{ord(found.group()):x}/"
