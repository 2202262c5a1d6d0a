"""
The repository lints itself: what a formatter can't see and a reviewer shouldn't have to.

Ceilings hold from the first commit; a rule that has exceptions lists them with their reasons.
"""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.source_tree import ROOT, Module, is_within, modules, package_modules, repository_files, text_files

TOP_LEVEL = frozenset(
    ".ci .gitignore CHANGELOG.md LICENSE Makefile README.md gateway ledger projections pyproject.toml"
    " requirements-dev.lock requirements.lock schema.sql tests".split()
)
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
STANDS_ALONE, STANDS_ALONE_LINES_MAX = "projections/audit/verify_export.py", 450
"""An auditor gets this file by itself, so nothing of it can be put into another."""

FILE_BYTES_MAX = 500_000
LOCKS = ("requirements.lock", "requirements-dev.lock")

# Money is an integer here; a float never comes near it.
NO_FLOATS = ("ledger.core", "ledger.pricing", "ledger.request", "ledger.wallet", "ledger.posting_rules")

# SQL lives in .sql files under a name. (path, how the string begins): why it stands in Python all the same.
SQL_IN_PYTHON: dict[tuple[str, str], str] = {
    (
        "ledger/store/embedded.py",
        "ALTER ROLE",
    ): "fed to a single-user server that makes the roles and the database",
    ("ledger/store/embedded.py", "SELECT pg_read_file"): "asks a found server whose it is, before any schema",
}
SQL_START = re.compile(
    r"\s*(?:(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|TRUNCATE|WITH|MERGE|COPY|LOCK|GRANT|REVOKE|SET|SHOW|NOTIFY"
    r"|LISTEN|BEGIN|COMMIT|ROLLBACK|VALUES)\s+\S"
    r"|(?i:select\s.*\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|(?:create|alter|drop)\s+table\s))",
    re.DOTALL,
)

# Brackets keep a pattern from finding itself.
LEFT_OVER = re.compile(r"\b(?:TO[D]O|FIX[M]E)\b")
HOME_PATH = re.compile(r"/(?:ho[m]e|User[s])/\w|/roo[t]/|[A-Z]:\\User[s]\\")
INDEX_ADDRESS = re.compile(
    r"--(?:extra-)?index[-]url|https?://\S*/sim[p]le\b|\bpypi[.](?:org|python)|pythonhosted[.]|registry[.]npmjs"
)
COMMENTED_CODE = re.compile(
    r"(?:[\w.]+\(.*\)|[\w.\[\]]+ (?:[-+*/|&]?=) .+|(?:from [\w.]+ )?import [\w., *]+|return .+|raise .+)$"
)


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method of a module, at any depth."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    """Return `path:line` of every line of the repository that a pattern finds; the licence is left alone."""
    return [
        f"{path}:{number}"
        for path, text in text_files().items()
        if path != "LICENSE"
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def is_code(comment: str) -> bool:
    """Tell whether a comment would run: it has the shape of a statement and parses as one."""
    text = comment.lstrip("#").strip()
    if not COMMENTED_CODE.match(text):
        return False
    try:
        ast.parse(text)
    except SyntaxError:
        return text.startswith(("return ", "raise "))
    return True


def docstrings(module: Module) -> set[int]:
    """Return the identities of the string nodes of a module that are docstrings."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, holders) and node.body and isinstance(node.body[0], ast.Expr)
    }


def project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads(text_files()["pyproject.toml"])


def locked(name: str) -> dict[str, str]:
    """Return the version of each package that a lock file pins."""
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text_files()[name], re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pins}


def test_top_level_holds_only_what_belongs_there() -> None:
    """The first screen of the repository is a fixed list; plans and notes live in issues."""
    assert sorted({path.split("/")[0] for path in repository_files()} - TOP_LEVEL) == []


def test_python_files_stay_short() -> None:
    """No Python file is longer than 400 lines, but for one that has to stand alone."""
    lengths = {module.path: module.text.count("\n") for module in modules()}
    assert lengths.pop(STANDS_ALONE) <= STANDS_ALONE_LINES_MAX
    assert {path: length for path, length in lengths.items() if length > FILE_LINES_MAX} == {}


def test_functions_stay_short() -> None:
    """No function is longer than 60 lines, docstring included."""
    lengths = {
        f"{module.path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module in modules()
        for node in functions(module)
    }
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES_MAX} == {}


def test_nothing_is_left_for_later() -> None:
    """No file says that something is still to be done; ideas go to issues."""
    assert lines_matching(LEFT_OVER) == []


def test_no_code_is_commented_out() -> None:
    """No comment is a Python statement; git remembers what was deleted."""
    wrong = []
    for module in modules():
        tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
        comments = [token for token in tokens if token.type == tokenize.COMMENT]
        wrong += [f"{module.path}:{token.start[0]} {token.string}" for token in comments if is_code(token.string)]
    assert wrong == []


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a docstring of one line."""
    wrong = []
    for module in modules():
        for node in functions(module):
            docstring = ast.get_docstring(node)
            if module.package == "tests" and node.name.startswith("test_") and (not docstring or "\n" in docstring):
                wrong.append(f"{module.path}:{node.lineno} {node.name}")
    assert wrong == []


def test_public_things_say_what_they_are() -> None:
    """Each module of the packages, and each public class and function at its top level, has a docstring."""
    wrong = []
    for module in package_modules():
        if not ast.get_docstring(module.tree):
            wrong.append(module.path)
        for node in module.tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.name.startswith("_") and not ast.get_docstring(node):
                wrong.append(f"{module.path}:{node.lineno} {node.name}")
    assert wrong == []


def test_no_float_comes_near_money() -> None:
    """The modules that count money hold no float literal and make no float."""
    wrong = []
    for module in package_modules():
        if not is_within(module.name, NO_FLOATS):
            continue
        for node in ast.walk(module.tree):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
            call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
            if literal or call:
                wrong.append(f"{module.path}:{getattr(node, 'lineno', 0)}")
    assert wrong == []


def test_sql_lives_in_sql_files() -> None:
    """No string in the packages is an SQL statement, and each exception in the list is still needed."""
    wrong, used = [], set()
    for module in package_modules():
        prose = docstrings(module)
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Constant) or id(node) in prose:
                continue
            text = node.value.decode("utf-8", "replace") if isinstance(node.value, bytes) else node.value
            if not isinstance(text, str) or not SQL_START.match(text):
                continue
            excuses = {key for key in SQL_IN_PYTHON if key[0] == module.path and text.lstrip().startswith(key[1])}
            used |= excuses
            if not excuses:
                wrong.append(f"{module.path}:{node.lineno} {text.strip()[:40]}")
    assert (wrong, set(SQL_IN_PYTHON) - used) == ([], set())


def test_no_file_is_big() -> None:
    """No file is larger than 500 kB."""
    sizes = {path: (ROOT / path).stat().st_size for path in repository_files()}
    assert {path: size for path, size in sizes.items() if size > FILE_BYTES_MAX} == {}


def test_no_path_of_one_machine() -> None:
    """No file names somebody's home folder or the place of this checkout."""
    here = "" if len(ROOT.parts) < 3 else f"|{re.escape(str(ROOT))}\\b"
    assert lines_matching(re.compile(HOME_PATH.pattern + here)) == []


def test_no_address_of_a_package_index() -> None:
    """No file says where packages come from: that is the machine's own setting."""
    assert lines_matching(INDEX_ADDRESS) == []


@pytest.mark.parametrize("name", LOCKS)
def test_locks_pin_by_hash_and_name_no_host(name: str) -> None:
    """Every requirement of a lock file is an exact version with a hash, and no address stands in it."""
    text = text_files()[name].replace("\\\n", " ")
    wrong = [
        line[:60]
        for line in text.splitlines()
        if line and not re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
    ]
    assert (wrong, "://" in text, locked(name) != {}) == ([], False, True)


def test_locks_answer_the_project_file() -> None:
    """The locks hold every dependency at a version that pyproject.toml allows, and agree with each other."""
    table = project()
    run, dev = locked(LOCKS[0]), locked(LOCKS[1])
    wanted = {
        LOCKS[0]: (
            run,
            [
                *table["project"]["dependencies"],
                *table["dependency-groups"]["build"],
                *table["build-system"]["requires"],
            ],
        ),
        LOCKS[1]: (dev, table["project"]["optional-dependencies"]["dev"]),
    }
    wrong = [
        f"{name}: {line}"
        for name, (pins, lines) in wanted.items()
        for line in lines
        if not Requirement(line).specifier.contains(pins.get(canonicalize_name(Requirement(line).name), "0"))
    ]
    assert (wrong, dict(run.items() - dev.items())) == ([], {})


def test_every_dependency_has_a_reason() -> None:
    """Each dependency of pyproject.toml stands on a line of its own with a comment that says why."""
    table = project()
    named = [
        *table["project"]["dependencies"],
        *(line for extra in table["project"]["optional-dependencies"].values() for line in extra),
        *(line for group in table["dependency-groups"].values() for line in group),
    ]
    reasoned = re.findall(r'^\s+"([^"]+)",\s+#\s(?=\S+ \S)', text_files()["pyproject.toml"], re.MULTILINE)
    assert sorted(set(named) - set(reasoned)) == []
