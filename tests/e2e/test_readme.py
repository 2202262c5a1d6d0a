"""The README as a newcomer follows it: its commands verbatim, in a fresh copy, with an empty home."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
READY = "is ready"
IN_BACKGROUND = ("make run", "route-ledger serve")
NOT_REPEATED = ("make test", "make check", "make bench")
"""These run this very test, or minutes of benchmarks; other tests and CI call them."""

INSTALL_SECONDS = 240


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Return (language, text) of a page's code blocks, in order."""
    return [(match.group(1), match.group(2).strip()) for match in BLOCK.finditer(page)]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Newcomer:
    """Somebody with a fresh copy of the project, an empty home, and a terminal."""

    def __init__(self, directory: Path) -> None:
        self.copy = directory / "route-ledger"
        home = directory / "home"
        home.mkdir()
        programs = directory / "programs"
        programs.mkdir()
        # The auditor's own: not installed by the project, so it stands where the developer's tools are.
        (programs / "bean-check").symlink_to(Path(sys.executable).parent / "bean-check")
        self.environment = {
            "PATH": f"/usr/local/bin:/usr/bin:/bin:{programs}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "ROUTE_LEDGER_PORT": str(free_port()),
        }
        listed = ["git", "ls-files"]
        names = subprocess.run(listed, cwd=TOP, capture_output=True, text=True, check=True)
        for name in names.stdout.splitlines():
            target = self.copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (TOP / name).is_file():
                shutil.copy2(TOP / name, target)
        self.variables = ""
        self.running: list[subprocess.Popen[str]] = []

    def start(self, command: str) -> str:
        """Run a command in the background; return what it prints until it says that it is ready."""
        if "serve" in command:
            self.environment["ROUTE_LEDGER_PORT"] = str(free_port())
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.copy,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.running.append(process)
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if READY in line:
                return "".join(printed)
        pytest.fail(f"{command} ended without being ready:\n{''.join(printed)[-3000:]}")

    def run(self, command: str) -> str:
        """Run a command after all that set variables before it; return its output."""
        if command.startswith(". "):
            self.variables += command + "\n"
            return ""
        done = subprocess.run(
            ["bash", "-ec", self.variables + command],
            cwd=self.copy,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def stop(self) -> list[int]:
        """Press Ctrl-C in every terminal and return the exit codes."""
        codes = []
        for process in self.running:
            os.killpg(process.pid, signal.SIGINT)
        for process in self.running:
            process.communicate(timeout=30)
            codes.append(process.returncode)
        self.running.clear()
        return codes


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    """A newcomer, whose processes are ended afterwards whatever happens."""
    person = Newcomer(tmp_path)
    yield person
    for process in person.running:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def is_as_shown(shown: Any, found: Any) -> bool:
    """Return whether output has what a page shows; `…` stands for anything, and objects may have more."""
    if shown == "…":
        return True
    if isinstance(shown, dict) and isinstance(found, dict):
        return all(key in found and is_as_shown(value, found[key]) for key, value in shown.items())
    if isinstance(shown, list) and isinstance(found, list):
        return len(shown) == len(found) and all(map(is_as_shown, shown, found))
    return bool(shown == found)


def require_output(language: str, shown: str, found: str) -> None:
    """Compare a command's output with the block that follows it."""
    if language == "json":
        assert is_as_shown(json.loads(shown), json.loads(found)), f"shown:\n{shown}\nfound:\n{found}"
        return
    pattern = re.escape(" ".join(shown.split())).replace("…", ".*")
    assert re.search(pattern, " ".join(found.split())), f"shown:\n{shown}\nfound:\n{found}"


@pytest.mark.timeout(INSTALL_SECONDS + 120)
def test_the_readme_works_as_printed(newcomer: Newcomer) -> None:
    """Every command of the README runs as printed and gives the output that is printed below it."""
    output = ""
    executed = 0
    for language, text in blocks_of((TOP / "README.md").read_text(encoding="utf-8")):
        if language == "python":
            output = newcomer.run(f"{sys.executable} - <<'PROGRAM'\n{text}\nPROGRAM")
            executed += 1
        elif language != "sh":
            require_output(language, text, output)
        elif text.startswith(NOT_REPEATED):
            continue
        elif any(words in text for words in IN_BACKGROUND):
            output = newcomer.start(text)
            executed += 1
        else:
            output = newcomer.run(text)
            executed += 1

    assert executed >= 10
    # make itself ends by the signal; what counts is that both servers and their databases have stopped.
    assert set(newcomer.stop()) <= {0, -signal.SIGINT, 128 + signal.SIGINT}
    assert sorted(newcomer.copy.glob("data/*/postgres")) != []
    assert sorted(newcomer.copy.glob("data/*/postgres/postmaster.pid")) == []
