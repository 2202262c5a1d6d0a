"""API keys and end users: what is shown once, what is hashed, and how a token is taken apart."""

import hashlib
import hmac
import re

TOKEN_PATTERN = re.compile(r"rl_live_([a-z0-9][a-z0-9-]{0,39})_([A-Za-z0-9][A-Za-z0-9-]{0,63})_([A-Za-z0-9]{32,86})\Z")


def make_token(workspace_id: str, api_key_id: str, secret: str) -> str:
    """Return what a caller sends. It names its book, so that no table of all keys is needed."""
    return f"rl_live_{workspace_id}_{api_key_id}_{secret}"


def split_token(token: str) -> tuple[str, str, str] | None:
    """Return (workspace, key, secret) of a token, or None for text that is none."""
    match = TOKEN_PATTERN.match(token)
    return None if match is None else (match.group(1), match.group(2), match.group(3))


def hash_secret(hash_key: bytes, workspace_id: str, api_key_id: str, secret: str) -> str:
    """Return the keyed hash of a key's secret, bound to the key, in hex."""
    content = f"api_key\0{workspace_id}\0{api_key_id}\0{secret}".encode()
    return hmac.new(hash_key, content, hashlib.sha256).hexdigest()


def hash_user(hash_key: bytes, workspace_id: str, end_user: str) -> str:
    """Return the keyed hash of an end user's name, bound to the workspace, in hex."""
    content = f"end_user\0{workspace_id}\0{end_user}".encode(errors="surrogatepass")
    return hmac.new(hash_key, content, hashlib.sha256).hexdigest()


def is_same_hash(left: str, right: str) -> bool:
    """Compare two hashes in a time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)
