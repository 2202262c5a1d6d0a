"""
The repository as the tests of its frame see it: its files, and Python modules parsed once.

Standard library only, and nothing of the project is imported: what is checked can't get in the way.
"""

import ast
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("ledger", "projections", "gateway")


@dataclass(frozen=True)
class Module:
    """One Python file: its path from the top, its dotted name, its text and its syntax tree."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The first part of the name."""
        return self.name.split(".", maxsplit=1)[0]


@cache
def repository_files() -> tuple[str, ...]:
    """
    Return the paths of all files that are tracked, or new and not ignored; deleted ones are left out.

    In an unpacked archive, where git knows nothing, .gitignore alone says what is not ours.
    """
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return tuple(sorted(files_not_ignored()))
    # The switch lets git read a checkout that another user owns, as in a container.
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(sorted({path for path in listed.split("\0") if path and (ROOT / path).is_file()}))


def files_not_ignored() -> Iterator[str]:
    """Yield the paths of all files but those that a line of .gitignore names, by plain patterns of names."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    patterns = [".git", *(line.removesuffix("/") for line in lines if line and not line.startswith("#"))]

    def is_ignored(folder: str, name: str) -> bool:
        at_top = Path(folder) == ROOT
        return any(fnmatch(name, pattern) or (at_top and fnmatch("/" + name, pattern)) for pattern in patterns)

    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not is_ignored(folder, name)]
        for name in names:
            if not is_ignored(folder, name):
                yield (Path(folder) / name).relative_to(ROOT).as_posix()


@cache
def text_files() -> dict[str, str]:
    """Return the text of every file of the repository that is UTF-8."""
    texts = {}
    for path in repository_files():
        try:
            texts[path] = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


@cache
def modules() -> tuple[Module, ...]:
    """Return every Python file of the repository, parsed."""
    return tuple(
        Module(path=path, name=module_name(path), text=text, tree=ast.parse(text, filename=path))
        for path, text in text_files().items()
        if path.endswith(".py")
    )


def package_modules() -> tuple[Module, ...]:
    """Return the modules of the three packages, without the tests."""
    return tuple(module for module in modules() if module.package in PACKAGES)


def module_name(path: str) -> str:
    """Return the dotted name of the module at a path from the top."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_within(name: str, prefixes: tuple[str, ...]) -> bool:
    """Tell whether a dotted name is one of the prefixes or lies inside one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)
