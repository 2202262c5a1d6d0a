"""What a verification found, by name: where, what it is, what it must be and what is there instead."""

import msgspec

__all__ = ["AuditReport", "Behind", "Finding", "Findings"]

FINDINGS_PER_PART_MAX = 100
"""Of one book, or one part of a large one: whoever changes a whole book need not fill the memory too."""


class Finding(msgspec.Struct, frozen=True):
    """Something stored that is not what it must be. `position` is where in the book, where one can be named."""

    workspace_id: str
    position: int | None
    what: str
    expected: str
    found: str


class Behind(msgspec.Struct, frozen=True):
    """A book that a projection has not followed to its end, and was therefore checked up to there only.

    `failure` says which event stopped it, if any did.
    """

    workspace_id: str
    projection: str
    position: int
    events: int
    failure: str | None = None


class AuditReport(msgspec.Struct, frozen=True):
    """What a verification came to: how much it checked, what it could not check yet, and what is wrong.

    `suppressed` counts findings that are not listed, because there are very many in the same part of a book.
    `is_held_against_kept` when a checkpoint that was kept outside was among what was compared.
    """

    books: int
    events: int
    entries: int
    legs: int
    periods: int
    checkpoints: int
    behind: tuple[Behind, ...]
    findings: tuple[Finding, ...]
    suppressed: int
    is_held_against_kept: bool = False


class Findings:
    """Gathers what is wrong with one book."""

    def __init__(self, workspace_id: str) -> None:
        self.workspace_id = workspace_id
        self.found: list[Finding] = []
        self.suppressed = 0

    def report(self, what: str, expected: object, found: object, position: int | None = None) -> None:
        """Note a finding, unless there are very many already."""
        if len(self.found) < FINDINGS_PER_PART_MAX:
            self.found.append(Finding(self.workspace_id, position, what, str(expected), str(found)))
        else:
            self.suppressed += 1
