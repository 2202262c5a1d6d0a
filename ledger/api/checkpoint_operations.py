"""What the reads of checkpoints take and answer, in OpenAPI's words, by the operation's name."""

from typing import Any

Operation = dict[str, Any]

NUMBER = {"type": "string", "pattern": r"^(latest|[0-9]{1,18})$(?!\n)"}
WHO = (
    "Needs a key with scope `read` or `audit`; a workspace's own key needs `audit`: a checkpoint says how many books "
    "and events there are."
)
FORMAT: Operation = {
    "name": "format",
    "in": "query",
    "required": False,
    "description": "`note`: the signed note alone, as text, to be kept outside.",
    "schema": {"type": "string", "enum": ["json", "note"], "default": "json"},
}
IN_PATH: Operation = {"name": "checkpoint", "in": "path", "required": True, "schema": NUMBER}
IN_QUERY: Operation = {
    "name": "checkpoint",
    "in": "query",
    "required": False,
    "description": "Its number; the latest without.",
    "schema": NUMBER,
}

CHECKPOINT_READS: dict[str, tuple[str, str, tuple[str, ...], tuple[Operation, ...]]] = {
    "read_checkpoint": ("A signed checkpoint over all books", "CheckpointView", (), (IN_PATH, FORMAT)),
    "read_signing_keys": ("The keys that checkpoints are and were signed with", "SigningKeysView", (), ()),
    "read_inclusion": ("That a book's head is in a checkpoint", "InclusionView", ("workspace_id",), (IN_QUERY,)),
}
"""By operation: what it is in words, its answer, the ids in its path, and further parameters."""
