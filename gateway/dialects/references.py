"""What a call only points to: files, stored answers and prompts, searches. Nobody here knows how large that is."""

from collections.abc import Mapping
from typing import Any

IDENTIFIED = ("file_id",)
LOCATED = frozenset({*IDENTIFIED, "file_url"})
"""Members of messages and of their parts that name a file that is elsewhere."""

OWN_TOOLS = frozenset({"function", "custom", "local_shell", "apply_patch", "mcp_toolset"})
OWN_PREFIXES = ("bash_", "text_editor_", "memory_")
"""Tools that the caller runs; `mcp_toolset` names a server that the call lists beside its tools."""

POINTING = ("web_search_options", "search_parameters", "plugins", "mcp_servers", "container", "cached_content")
"""Members of a call that bring input from elsewhere: each one, or each of their entries."""

AMPLIFYING = ("chat_template",)
"""A template may repeat what it likes as often as it likes."""


def is_elsewhere(part: Mapping[str, object]) -> bool:
    """Tell whether a message or a part of one stands for something that its upstream has or fetches."""
    kind = part.get("type")
    if kind == "item_reference" or (kind is None and part.keys() == {"id"}):
        return True
    data = part.get("file_data")
    return kind == "url" or (isinstance(data, str) and data[:4].lower() == "http")


def server_tools(tools: object) -> int:
    """Return how many tools run at an upstream: searches, interpreters, computers, servers of tools."""
    return sum(not _is_own(tool) for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else 0


def pointing_members(values: Mapping[str, object]) -> int:
    """Return how many things the members of a call point to."""
    return sum(len(value) if isinstance(value, list) else value is not None for value in values.values())


def _is_own(tool: dict[str, Any]) -> bool:
    kind = tool.get("type")
    if kind is None:
        return "function" in tool or "name" in tool
    return isinstance(kind, str) and (kind in OWN_TOOLS or kind.startswith(OWN_PREFIXES))
