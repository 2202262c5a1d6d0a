"""
A PostgreSQL of our own in a directory: created, started, adopted and stopped here.

`start_embedded` is for the one process that owns the data directory; any other process of the same user reads
the URL with `read_embedded_url`. What lies in the data directory:

    owner.lock      locked by the owner while it lives; the kernel unlocks it, however the owner dies
    pgpass          the passwords (mode 0600), as libpq reads them: PGPASSFILE=… psql
    postgres/       the cluster, complete from its first appearance: it is made as postgres.new and renamed
    log/            what the server says

It listens on a Unix socket only, outlives an owner that was killed, and is adopted by the next one. Not here:
accounts, binaries and processes (`postgres_process`), the schema, upgrades between major versions.
"""

import fcntl
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import quote

import psycopg

from ledger.store import postgres_process as process
from ledger.store.postgres_process import Account, EmbeddedServerError, Postmaster

__all__ = [
    "DataDirectoryInUse",
    "DataDirectoryUnusable",
    "EmbeddedServer",
    "EmbeddedServerError",
    "ServerStartFailed",
    "read_embedded_url",
    "start_embedded",
]

_CommandFor = Callable[[Path], list[str]]
_log = logging.getLogger(__name__)
_DATABASE: Final = "route_ledger"
_OWNER: Final = "route_ledger"
_ADMINISTRATOR: Final = "postgres"
_PATIENCE_SECONDS: Final = 30.0
_LEFTOVER_WORDS: Final = ("is still in use", 'postmaster.pid" already exists')
# Nobody can log in (reject) until our own pg_hba.conf is written; we sync to disk ourselves.
_INITDB_OPTIONS: Final = (
    "--encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 --data-checksums "
    f"--auth=reject --no-sync --no-instructions --username={_ADMINISTRATOR}"
).split()

DEFAULT_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "wal_buffers": "16MB",
        # What is acknowledged is on disk.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        # Rare checkpoints mean few full-page images; pglz, all this build has, costs more than it saves.
        "wal_compression": "off",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        # A few small tables are updated all the time: vacuum them often and let it work without pauses.
        "autovacuum_naptime": "10s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.05",
        "autovacuum_vacuum_cost_delay": "0",
        "random_page_cost": "1.1",
        "jit": "off",
        # A query whose client has died gives its locks back.
        "client_connection_check_interval": "2s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        # Statements can carry what people typed; errors are logged without them.
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
    }
)


class DataDirectoryInUse(EmbeddedServerError):
    """Another process owns this data directory."""

    def __init__(self, data_directory: Path, pid: int | None) -> None:
        self.data_directory = data_directory
        self.pid = pid
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{data_directory} is in use by {holder}: stop it, or choose another data directory")


class DataDirectoryUnusable(EmbeddedServerError):
    """The data directory cannot be read or written, or a part of it is missing."""


class ServerStartFailed(EmbeddedServerError):
    """The server ended while starting, or answers but does not let us in."""


class _Layout:
    """Where things are in a data directory."""

    def __init__(self, data_directory: Path, log_directory: Path | None = None) -> None:
        self.data_directory = data_directory.expanduser().resolve()
        self.log_directory = (log_directory or self.data_directory / "log").expanduser().resolve()
        self.log_file = self.log_directory / "postgres.log"
        self.cluster = self.data_directory / "postgres"
        self.new_cluster = self.data_directory / "postgres.new"
        self.passwords = self.data_directory / "pgpass"
        self.owner_lock = self.data_directory / "owner.lock"


class _OwnerLock:
    """The right to start and stop the server of a data directory."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            written = os.pread(self._descriptor, 32, 0)
            self.release()
            raise DataDirectoryInUse(path.parent, int(written) if written.isdigit() else None) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        # A forked child would keep the lock alive after our death.
        os.register_at_fork(after_in_child=self.release)

    def release(self) -> None:
        """Closes our handle; in a forked child this leaves the parent's lock alone."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class EmbeddedServer:
    """A running embedded server and the right to stop it; leaving the `with` block stops it."""

    def __init__(self, layout: _Layout, postmaster: Postmaster, lock: _OwnerLock, *, cleanup: bool) -> None:
        self.url = _url(layout, postmaster.socket_directory)
        self.postmaster_pid = postmaster.pid
        self._layout = layout
        self._postmaster = postmaster
        self._lock = lock
        self._cleanup = cleanup
        self._owner_pid: int | None = os.getpid()

    def stop(self) -> None:
        """Stops the server and frees the data directory; does nothing when repeated or in a forked child."""
        if os.getpid() != self._owner_pid:
            return
        self._postmaster.stop(at_once=self._cleanup)
        self._owner_pid = None
        if self._cleanup:
            shutil.rmtree(self._layout.cluster)
            self._layout.passwords.unlink()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def start_embedded(
    data_directory: Path,
    *,
    log_directory: Path | None = None,
    extra_settings: Mapping[str, str] = MappingProxyType({}),
    cleanup: bool = False,
) -> EmbeddedServer:
    """
    Starts the server of a data directory, creating what is missing, and returns when it takes connections.

    A server that a killed owner left behind is adopted if it runs with the same settings, else restarted.

    Args:
        log_directory: defaults to `log` in the data directory.
        extra_settings: PostgreSQL settings that override `DEFAULT_SETTINGS`; with `fsync` off a new cluster
            is not synced to disk either, which is meant for tests.
        cleanup: stop without a checkpoint and delete the cluster, for tests.

    Raises:
        DataDirectoryInUse: another process owns the data directory.
        EmbeddedServerError: every other reason; the message says what to do.
    """
    layout = _Layout(data_directory, log_directory)
    lock: _OwnerLock | None = None
    try:
        for directory in (layout.data_directory, layout.log_directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _OwnerLock(layout.owner_lock)
        postmaster = _bring_up(layout, {**DEFAULT_SETTINGS, **extra_settings})
    except BaseException as error:
        if lock is not None:
            lock.release()
        if isinstance(error, OSError):
            raise _unusable(layout, error) from error
        raise
    return EmbeddedServer(layout, postmaster, lock, cleanup=cleanup)


def read_embedded_url(data_directory: Path) -> str | None:
    """Returns the URL of the server that runs on this data directory, None if there is none."""
    layout = _Layout(data_directory)
    try:
        found = process.read_lock_file(layout.cluster)
    except OSError as error:
        raise _unusable(layout, error) from error
    if found is None or not process.is_postmaster(found.pid, layout.cluster):
        return None
    return _url(layout, found.socket_directory)


def _unusable(layout: _Layout, error: OSError) -> DataDirectoryUnusable:
    return DataDirectoryUnusable(
        f"cannot use {layout.data_directory}: {error}; start as the user who owns it, or choose another one"
    )


def _url(layout: _Layout, socket_directory: Path, role: str = _OWNER) -> str:
    # Not by passfile: a PGPASSWORD in somebody's environment would win over it.
    lines = layout.passwords.read_text(encoding="utf-8").splitlines()
    password = next((line.rpartition(":")[2] for line in lines if line.startswith(f"*:*:*:{role}:")), "")
    host = quote(os.fsencode(socket_directory), safe="")
    return f"postgresql://{role}:{password}@/{_DATABASE}?host={host}&port=5432"


def _bring_up(layout: _Layout, settings: Mapping[str, str]) -> Postmaster:
    account = process.choose_account(layout.data_directory, layout.cluster)
    binaries = process.find_binaries(account)
    if not layout.cluster.exists():
        _create_cluster(layout, binaries, account, is_synced=settings["fsync"] != "off")
    elif not layout.passwords.exists():
        raise DataDirectoryUnusable(f"{layout.passwords} is missing, nobody can log in: restore it from a backup")
    command_for = partial(_server_command, layout.cluster, binaries, account, settings)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _adopt(layout, command_for) or _start(layout, account, command_for)
        except ServerStartFailed as error:
            # Processes of a killed server are still ending, or one that a killed owner started shows up late.
            if not any(words in str(error) for words in _LEFTOVER_WORDS) or time.monotonic() > deadline:
                raise
            _log.warning("waiting for what is left of a killed PostgreSQL: %s", error)
            time.sleep(0.2)


def _adopt(layout: _Layout, command_for: _CommandFor) -> Postmaster | None:
    """Takes over a server that is already running; None when there is none, or it had to be stopped."""
    found = process.read_lock_file(layout.cluster)
    if found is None or not process.is_postmaster(found.pid, layout.cluster):
        return None
    orphan = Postmaster(found.pid, layout.cluster, found.socket_directory)
    running = process.command_line(orphan.pid)
    if running == " ".join(command_for(found.socket_directory)):
        _wait_until_ready(layout, orphan, log_offset=process.log_size(layout.log_file))
        _log.info("adopted the PostgreSQL (pid %d) that an earlier owner left running", orphan.pid)
        return orphan
    if not running.endswith(f" {process.CLUSTER_MARKER}{layout.cluster}"):
        # Somebody runs the cluster by hand, and that is not ours to stop.
        raise DataDirectoryInUse(layout.data_directory, orphan.pid)
    _log.warning("restarting the PostgreSQL (pid %d) of an earlier owner: its settings differ", orphan.pid)
    orphan.stop()
    return None


def _create_cluster(layout: _Layout, binaries: Path, account: Account | None, *, is_synced: bool) -> None:
    _log.info("creating a PostgreSQL cluster in %s", layout.cluster)
    new = layout.new_cluster
    deadline = time.monotonic() + 5
    while new.exists() and time.monotonic() < deadline:
        # An initdb whose starter was killed may still be adding files; it ends when its directory is gone.
        shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if account is not None:
        os.chown(new, account.uid, account.gid)
    # Through the working directory: an initdb left behind by a killed starter cannot write into our new one.
    place = process.WORKING_DIRECTORY if Path(process.WORKING_DIRECTORY).exists() else str(new)
    initdb = [str(binaries / "initdb"), "-D", place]
    process.run_tool([*initdb, *_INITDB_OPTIONS], account=account, working_directory=new)
    single = [str(binaries / "postgres"), "--single", "-j", "-D", place, "-c", "fsync=off", _ADMINISTRATOR]
    process.run_tool(single, account=account, working_directory=new, text=_write_passwords(layout.passwords))
    hba = os.open(new / "pg_hba.conf", os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
    with os.fdopen(hba, "w", encoding="utf-8") as file:
        file.write("local all all scram-sha-256\n")
    if is_synced:
        process.run_tool([*initdb, "--sync-only"], account=account, working_directory=new)
    new.rename(layout.cluster)
    if is_synced:
        directory = os.open(layout.data_directory, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)


def _write_passwords(path: Path) -> str:
    """Keeps new passwords in the file and returns the SQL that sets them and makes the database."""
    administrator, owner = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"*:*:*:{_ADMINISTRATOR}:{administrator}\n*:*:*:{_OWNER}:{owner}\n")
        file.flush()
        os.fsync(file.fileno())
    # A single-user server reads a statement up to a semicolon and an empty line (-j).
    return (
        f"ALTER ROLE {_ADMINISTRATOR} PASSWORD '{administrator}';\n\n"
        f"CREATE ROLE {_OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{owner}';\n\n"
        f"GRANT pg_monitor TO {_OWNER};\n\n"
        f"CREATE DATABASE {_DATABASE} OWNER {_OWNER};\n\n"
    )


def _server_command(
    cluster: Path,
    binaries: Path,
    account: Account | None,
    settings: Mapping[str, str],
    socket_directory: Path,
) -> list[str]:
    # The dot is the cluster itself, which the server's account can always reach.
    sockets = "." if socket_directory == cluster else '"' + str(socket_directory).replace('"', '""') + '"'
    directory = str(cluster) if account is None else process.WORKING_DIRECTORY
    command = [str(binaries / "postgres"), "-D", directory, "-c", f"unix_socket_directories={sockets}"]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return [*command, "-c", f"{process.CLUSTER_MARKER}{cluster}"]


def _start(layout: _Layout, account: Account | None, command_for: _CommandFor) -> Postmaster:
    stale = process.read_lock_file(layout.cluster)
    process.clear_leftovers(layout.cluster, stale)
    sockets = process.choose_socket_directory(layout.cluster, account)
    with process.open_log(layout.log_file) as log:
        offset = process.log_size(layout.log_file)
        child = process.spawn(
            command_for(sockets),
            account=account,
            working_directory=layout.cluster,
            output=log.fileno(),
            # PostgreSQL takes any live process with the pid of a stale lock file for a server. We know it is
            # not: this variable, made for pg_ctl, says so, and its own check of shared memory stays in force.
            environment={} if stale is None else {"PG_GRANDPARENT_PID": str(stale.pid)},
        )
    postmaster = Postmaster(child.pid, layout.cluster, sockets, child)
    try:
        _wait_until_ready(layout, postmaster, log_offset=offset)
    except BaseException:
        postmaster.stop()
        raise
    return postmaster


def _wait_until_ready(layout: _Layout, postmaster: Postmaster, *, log_offset: int) -> None:
    """Waits for a real connection: as long as it takes while the server recovers, then a short while."""
    started = reported = time.monotonic()
    ready_since: float | None = None
    while True:
        found, now = process.read_lock_file(layout.cluster), time.monotonic()
        if found is not None and found.pid == postmaster.pid and found.is_ready:
            ready_since = ready_since or now
            failure = _try_connection(layout, found)
            if failure is None:
                return
            if now - ready_since > _PATIENCE_SECONDS:
                raise ServerStartFailed(f"PostgreSQL refuses us, see {layout.log_file}: {failure}")
        if not postmaster.is_running():
            raise ServerStartFailed(
                f"PostgreSQL ended while starting:\n{process.log_tail(layout.log_file, log_offset)}"
            )
        if now - reported > 5:
            reported = now
            lines = process.log_tail(layout.log_file, log_offset)
            _log.info("PostgreSQL is not ready after %.0f s: %s", now - started, lines.rpartition("\n")[2])
        time.sleep(0.01)


def _try_connection(layout: _Layout, found: process.LockFile) -> str | None:
    """Returns why the server cannot be used, None if it can."""
    try:
        # By this method the server, too, has to prove that it knows the password.
        url = _url(layout, found.socket_directory, _ADMINISTRATOR)
        with psycopg.connect(url, require_auth="scram-sha-256", connect_timeout=5) as connection:
            row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    except psycopg.Error as error:
        return str(error)
    is_same = row is not None and str(row[0]).startswith(f"{found.pid}\n")
    return None if is_same else "another server answers on its socket"
