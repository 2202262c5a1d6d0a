"""
The wheel is the whole product: built offline, installed elsewhere, it runs without the checkout.

Dependencies are borrowed from the environment that runs the tests, so no test here asks an index.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.source_tree import PACKAGES, ROOT, repository_files

SECONDS_TO_START = 60
SECONDS_TO_STOP = 30

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
has_command_line = pytest.mark.skipif(
    not (ROOT / "gateway" / "command_line.py").exists(), reason="gateway/command_line.py is not there yet"
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the backend that is installed here, in no isolated environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a clean venv and return the folder of its programs."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
    ]
    subprocess.run([*pip, str(wheel)], check=True)
    # A folder named in a .pth file lends its packages; its own .pth files, as the checkout's, don't count.
    (site_packages,) = folder.glob("lib/python*/site-packages")
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "lent.pth").write_text("\n".join(sorted(lent)) + "\n", encoding="utf-8")
    return python.parent


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Yield an empty folder that every user may enter: as root, the database runs as somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="route-ledger-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def clean_environment(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment with nothing of the machine's own in it."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8", **more}


def run(command: list[str | Path], folder: Path) -> str:
    """Run a command in a folder with a clean environment and return what it printed."""
    ran = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str | Path], folder: Path, environment: dict[str, str], port: int) -> Iterator[None]:
    """Run a server until it says where it listens, and stop it as an operator would."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if f"http://127.0.0.1:{port}" in line:
                ready.set()
        ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert ready.wait(SECONDS_TO_START), f"not ready in {SECONDS_TO_START} s: {''.join(said)}"
        assert process.poll() is None, "".join(said)
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_TO_STOP) in (0, -signal.SIGTERM), "".join(said)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        listener.join()
        assert process.stdout is not None
        process.stdout.close()


def get(url: str) -> int:
    """Return the status that a URL answers with, asking no proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        status: int = answer.status
        return status


def test_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    """The wheel holds every file of the three packages, SQL and pages too, schema and licence, no test."""
    expected = {path for path in repository_files() if path.split("/")[0] in PACKAGES}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected | {"ledger/store/schema.sql"}
    assert [name for name in names if name.endswith("/licenses/LICENSE")] != []


def test_schema_is_read_from_the_wheel(installed: Path, elsewhere: Path) -> None:
    """Installed elsewhere, the ledger finds the very schema.sql of the repository, from its own folder."""
    code = (
        "import ledger; from ledger.store.resources import read_schema;"
        "print(ledger.__file__); print(read_schema(), end='')"
    )
    place, _, schema = run([installed / "python", "-c", code], elsewhere).partition("\n")
    assert Path(place).is_relative_to(installed.parent)
    assert schema == (ROOT / "schema.sql").read_text(encoding="utf-8")


@has_command_line
def test_command_explains_itself(installed: Path, elsewhere: Path) -> None:
    """`route-ledger --help` of the installed wheel names its first command."""
    assert "serve" in run([installed / "route-ledger", "--help"], elsewhere)


@has_command_line
def test_installed_server_starts_and_starts_again(installed: Path, elsewhere: Path) -> None:
    """`route-ledger serve` makes its database, answers and stops; its port may come from the environment."""
    data = elsewhere / "data"
    port = free_port()
    command: list[str | Path] = [installed / "route-ledger", "serve", "--data", data]
    with serving([*command, "--port", str(port)], elsewhere, clean_environment(elsewhere), port):
        assert get(f"http://127.0.0.1:{port}/livez") == 200
    assert list(data.iterdir()) != []

    port = free_port()
    environment = clean_environment(elsewhere, ROUTE_LEDGER_PORT=str(port))
    with serving(command, elsewhere, environment, port):
        assert get(f"http://127.0.0.1:{port}/livez") == 200
    assert os.path.lexists(data)
