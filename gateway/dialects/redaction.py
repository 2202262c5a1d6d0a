"""Sentences of upstreams without what is nobody's business: keys, accounts, projects, hosts."""

import re
from collections.abc import Collection

REMOVED = "[removed]"
LENGTH_MAX = 16_000
"""More of a sentence is not even looked at."""

HOST = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]{1,20}://)[^\s/?#\"'<>`)]+(?P<path>[^\s?#\"'<>`)]*)[^\s\"'<>`)]*", re.IGNORECASE
)
"""A URL: its path may tell a caller which of his pictures is meant, its host and query tell others who serves us."""

OURS = re.compile(
    r"\b(?i:bearer)\s+[\w~+/=*.-]*[\w=/*]"
    r"|\b(?:sk|pk|rk|ak|org|acct)-[\w*.-]*[\w*]|\b(?:proj|gsk|hf|acct|rl_live|rl_test|rl_admin)_\w+"
    r"|\b(?:xai|user|proj|team)-(?=[\w-]*\d)[\w-]{6,}"
    r"|\bAIza[\w*-]{4,}|\bya29\.[\w.-]+|\bA[KS]IA[A-Z0-9]{8,}|\beyJ[\w-]{8,}[\w.-]*"
    r"|\b(?i:project|organi[sz]ation|account|team|workspace)s?[ /:#]+(?=[\w-]*\d)[\w-]{4,}"
    r"|\b(?i:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b|\b(?=[A-Za-z]*\d)[A-Za-z0-9]{32,}\b"
    r"|\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\blocalhost(?::\d+)?\b"
    r"|\b(?:[a-z0-9-]{1,63}\.){1,8}(?:com|net|org|ai|io|dev|cn|cloud|internal|local)\b(?![.(\[])(?::\d+)?"
)
"""What looks like a key, an account of ours or a host."""


def without_secrets(text: str, secrets: Collection[str] = ()) -> str:
    """Return a sentence with everything that looks like a secret, and the given ones, taken out."""
    if len(text) > LENGTH_MAX:
        # What is cut in two would no longer look like what it is.
        text = text[:LENGTH_MAX].rpartition(" ")[0]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, REMOVED)
    return OURS.sub(REMOVED, HOST.sub(rf"\g<scheme>{REMOVED}\g<path>", text))
