"""An upstream provider that needs no account: OpenAI's and Anthropic's interfaces, the same answers every time.

It is here to try the gateway and to test it. ../README.md says what it answers and how a header tells it to fail.
"""

from gateway.demo.upstream.application import create_upstream

__all__ = ["create_upstream"]
