"""The embedded server under kindness and violence: what a user, a crash or a second process can do to it."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.store.embedded import (
    DataDirectoryInUse,
    DataDirectoryUnusable,
    EmbeddedServer,
    EmbeddedServerError,
    ServerStartFailed,
    read_embedded_url,
    start_embedded,
)
from ledger.store.postgres_process import (
    choose_account,
    command_line,
    find_binaries,
    is_postmaster,
    read_lock_file,
    spawn,
)

FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "16MB"}
OWNER_PROGRAM = """
import sys, time
from pathlib import Path
from ledger.store.embedded import start_embedded
server = start_embedded(Path(sys.argv[1]), extra_settings=dict(item.split("=") for item in sys.argv[2:]))
print(server.postmaster_pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped data directory, copied by each test: quicker than initdb."""
    directory = tmp_path_factory.mktemp("embedded") / "data"
    start_embedded(directory, extra_settings=FAST).stop()
    return directory


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Iterator[Path]:
    """A data directory of one test; whatever still runs in it afterwards is stopped."""
    directory = tmp_path / "data"
    copy_data(template, directory)
    yield directory
    stop_leftover(directory)


def copy_data(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    owner = (source / "postgres").stat()
    for path in (target / "postgres", *(target / "postgres").rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def stop_leftover(directory: Path) -> None:
    found = read_lock_file(directory / "postgres")
    if found is not None and is_postmaster(found.pid, directory / "postgres"):
        os.kill(found.pid, signal.SIGQUIT)
        wait_for_end(found.pid)


def socket_directory(directory: Path) -> Path:
    found = read_lock_file(directory / "postgres")
    assert found is not None
    return found.socket_directory


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while command_line(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.01)


def run_sql(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@contextlib.contextmanager
def owner_process(directory: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """An owner in a process of its own, and the pid of its postmaster."""
    settings = [f"{name}={value}" for name, value in FAST.items()]
    command = [sys.executable, "-c", OWNER_PROGRAM, str(directory), *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_cold_start_makes_a_database_that_keeps_its_promises(tmp_path: Path) -> None:
    """A new data directory becomes a synced UTF-8 database with checksums, no TCP and an ordinary owner."""
    with start_embedded(tmp_path / "missing" / "data") as server, psycopg.connect(server.url) as connection:
        names = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "listen_addresses")
        settings = [connection.execute(b"SHOW " + name.encode()).fetchone() for name in names]
        who = connection.execute(
            "SELECT current_user, rolsuper, datlocprovider, datlocale, pg_encoding_to_char(encoding)"
            " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
        ).fetchone()
    assert settings == [("on",)] * 4 + [("",)]
    assert who == ("route_ledger", False, "b", "C.UTF-8", "UTF8")


def test_warm_start_finds_the_data_again(data: Path) -> None:
    """What was committed before a stop is there after the next start, which is quick."""
    with start_embedded(data, extra_settings=FAST) as server:
        run_sql(server.url, "CREATE TABLE kept AS SELECT 7 AS number")
    started = time.monotonic()
    with start_embedded(data, extra_settings=FAST) as server:
        assert time.monotonic() - started < 5
        assert run_sql(server.url, "SELECT number FROM kept") == 7
    assert not (data / "postgres" / "postmaster.pid").exists()


def test_second_owner_is_refused(data: Path) -> None:
    """A second starter, in this process or another, is told which process has the data directory."""
    with start_embedded(data, extra_settings=FAST), pytest.raises(DataDirectoryInUse) as caught:
        start_embedded(data, extra_settings=FAST)
    assert caught.value.pid == os.getpid()
    with owner_process(data) as (owner, _), pytest.raises(DataDirectoryInUse, match=str(owner.pid)):
        start_embedded(data, extra_settings=FAST)


def test_other_processes_read_the_url(data: Path) -> None:
    """The URL can be read while a server runs, by a relative path too, and is None before and after."""
    assert read_embedded_url(data) is None
    with start_embedded(data, extra_settings=FAST) as server:
        assert read_embedded_url(Path(os.path.relpath(data))) == server.url
    assert read_embedded_url(data) is None
    assert read_embedded_url(data / "nowhere") is None


def test_killed_postmaster_recovers(data: Path) -> None:
    """A postmaster killed by -9, still a zombie, has no URL, and a new start has what was committed."""
    server = start_embedded(data, extra_settings=FAST)
    run_sql(server.url, "CREATE TABLE kept AS SELECT 7 AS number")
    os.kill(server.postmaster_pid, signal.SIGKILL)
    wait_for_end(server.postmaster_pid)
    assert read_embedded_url(data) is None
    server.stop()
    with start_embedded(data, extra_settings=FAST) as again:
        assert run_sql(again.url, "SELECT number FROM kept") == 7


def test_everything_killed_recovers(data: Path) -> None:
    """After kill -9 of owner, postmaster and all backends together a new start has what was committed."""
    with owner_process(data) as (owner, postmaster_pid):
        url = read_embedded_url(data)
        assert url is not None
        run_sql(url, "CREATE TABLE kept AS SELECT 7 AS number")
        children = Path(f"/proc/{postmaster_pid}/task/{postmaster_pid}/children").read_text().split()
        for pid in (owner.pid, postmaster_pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with start_embedded(data, extra_settings=FAST) as server:
        assert server.postmaster_pid != postmaster_pid
        assert run_sql(server.url, "SELECT number FROM kept") == 7


def test_backend_that_outlives_its_postmaster_is_waited_for(data: Path) -> None:
    """A start waits for a backend that is still busy after kill -9 of its postmaster."""
    server = start_embedded(data, extra_settings=FAST)
    with psycopg.connect(server.url) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        os.kill(server.postmaster_pid, signal.SIGKILL)
        server.stop()
        resume = f"import os, time; time.sleep(1.5); os.kill({backend}, {signal.SIGCONT})"
        with (
            subprocess.Popen([sys.executable, "-c", resume]),
            start_embedded(data, extra_settings=FAST) as again,
        ):
            assert not command_line(backend)
            assert run_sql(again.url, "SELECT 1") == 1


def test_orphan_is_adopted(data: Path) -> None:
    """A server whose owner was killed works on, is taken over as it is, and stopped by its new owner."""
    with owner_process(data) as (owner, postmaster_pid):
        url = read_embedded_url(data)
        assert url is not None
        with psycopg.connect(url) as connection:
            owner.kill()
            owner.wait()
            server = start_embedded(data, extra_settings=FAST)
            assert (server.postmaster_pid, server.url) == (postmaster_pid, url)
            assert connection.execute("SELECT 1").fetchone() == (1,)
    server.stop()
    assert not is_postmaster(postmaster_pid, data / "postgres")


def test_orphan_with_other_settings_is_restarted(data: Path) -> None:
    """A left-behind server that runs without fsync is not taken over by an owner who wants it."""
    with owner_process(data) as (owner, postmaster_pid):
        owner.kill()
        owner.wait()
        with start_embedded(data) as server:
            assert server.postmaster_pid != postmaster_pid
            assert run_sql(server.url, "SHOW fsync") == "on"


def test_server_run_by_hand_is_left_alone(data: Path) -> None:
    """A PostgreSQL that somebody else started on the cluster is neither adopted nor stopped."""
    cluster = data / "postgres"
    account = choose_account(data, cluster)
    command = [str(find_binaries(account) / "postgres"), "-D", "/proc/self/cwd", "-k", ".", "-h", ""]
    with spawn(command, account=account, working_directory=cluster, output=subprocess.DEVNULL) as stranger:
        while (found := read_lock_file(cluster)) is None or found.pid != stranger.pid:
            time.sleep(0.01)
        try:
            with pytest.raises(DataDirectoryInUse) as caught:
                start_embedded(data, extra_settings=FAST)
            assert caught.value.pid == stranger.pid
            assert stranger.poll() is None
        finally:
            stranger.send_signal(signal.SIGINT)


@pytest.mark.parametrize("as_server_account", [True, False])
def test_recycled_pid_is_not_a_server(data: Path, as_server_account: bool) -> None:
    """A stale lock file that names somebody's `sleep` stops no start, and the sleep is never signalled."""
    server = start_embedded(data, extra_settings=FAST)
    lock_file = data / "postgres" / "postmaster.pid"
    lines = lock_file.read_text().splitlines(keepends=True)
    server.stop()
    owner = (data / "postgres").stat()
    user = owner.st_uid if as_server_account else os.geteuid()
    with subprocess.Popen(["sleep", "600"], user=user) as sleeper:
        try:
            lock_file.write_text(f"{sleeper.pid}\n{''.join(lines[1:])}")
            os.chown(lock_file, owner.st_uid, owner.st_gid)
            assert read_embedded_url(data) is None
            with start_embedded(data, extra_settings=FAST) as again:
                assert run_sql(again.url, "SELECT 1") == 1
            assert sleeper.poll() is None
        finally:
            sleeper.kill()


@pytest.mark.parametrize("content", ["", "nonsense\n"])
def test_broken_lock_file_stops_no_start(data: Path, content: str) -> None:
    """A lock file that a power cut left empty or broken is replaced."""
    lock_file = data / "postgres" / "postmaster.pid"
    lock_file.write_text(content)
    assert read_embedded_url(data) is None
    start_embedded(data, extra_settings=FAST).stop()


def test_half_made_cluster_is_made_again(tmp_path: Path) -> None:
    """Whenever the first start is killed, even in the middle of initdb, the next one succeeds."""
    for moment in (0.15, 0.3, 0.45):
        data = tmp_path / str(moment)
        with subprocess.Popen([sys.executable, "-c", OWNER_PROGRAM, str(data), "fsync=off"]) as first:
            while not (data / "postgres.new").exists():
                time.sleep(0.005)
            time.sleep(moment)
            first.kill()
        with start_embedded(data, extra_settings=FAST) as server:
            assert run_sql(server.url, "SELECT 1") == 1
        assert not (data / "postgres.new").exists()


@pytest.mark.parametrize("name", ["with space", "quo\"te,comma's", "ünï-%20?&#"])
def test_odd_characters_in_the_path_work(template: Path, tmp_path: Path, name: str) -> None:
    """A path with spaces, quotes, commas or URL characters works."""
    data = tmp_path / name
    copy_data(template, data)
    with start_embedded(data, extra_settings=FAST) as server:
        assert run_sql(server.url, "SELECT 1") == 1
        assert read_embedded_url(data) == server.url


def test_path_too_long_for_a_socket_works(template: Path, tmp_path: Path) -> None:
    """A path longer than a socket address gets a private temporary directory, gone with the server."""
    data = tmp_path / ("long and longer " * 8)
    copy_data(template, data)
    server = start_embedded(data, extra_settings=FAST)
    sockets = socket_directory(data)
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert read_embedded_url(data) == server.url
    assert run_sql(server.url, "SELECT 1") == 1
    server.stop()
    assert not sockets.exists()


def test_socket_directory_of_a_killed_server_is_removed(template: Path, tmp_path: Path) -> None:
    """A temporary socket directory that nobody could remove is removed by the next start."""
    data = tmp_path / ("long " * 30)
    copy_data(template, data)
    with owner_process(data) as (owner, postmaster_pid):
        sockets = socket_directory(data)
        os.kill(owner.pid, signal.SIGKILL)
        os.kill(postmaster_pid, signal.SIGKILL)
        wait_for_end(postmaster_pid)
    with start_embedded(data, extra_settings=FAST):
        assert not sockets.exists()


def test_only_the_owner_can_read_the_passwords(data: Path) -> None:
    """Passwords, cluster and socket are closed to other users, and a wrong password fails."""
    with start_embedded(data, extra_settings=FAST) as server:
        socket = data / "postgres" / ".s.PGSQL.5432"
        assert stat.S_IMODE((data / "pgpass").stat().st_mode) == 0o600
        assert stat.S_IMODE((data / "postgres").stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        password = (data / "pgpass").read_text().splitlines()[1].rpartition(":")[2]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url.replace(password, "guess"))


def test_missing_password_file_is_explained(data: Path) -> None:
    """A cluster without its password file is not touched, and the message names the file."""
    (data / "pgpass").unlink()
    with pytest.raises(DataDirectoryUnusable, match="pgpass"):
        start_embedded(data, extra_settings=FAST)


def test_environment_of_another_database_does_no_harm(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PG* variables meant for another database steer neither the server nor its clients."""
    for name, value in {"PGPASSWORD": "x", "PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    with start_embedded(data, extra_settings=FAST) as server:
        assert run_sql(server.url, "SELECT current_user") == "route_ledger"


def test_failed_start_shows_the_log_and_frees_the_directory(data: Path) -> None:
    """A setting that PostgreSQL refuses is quoted in the error, and the next start succeeds."""
    with pytest.raises(ServerStartFailed, match="max_connections"):
        start_embedded(data, extra_settings={**FAST, "max_connections": "none"})
    with start_embedded(data, extra_settings=FAST) as server:
        assert run_sql(server.url, "SELECT 1") == 1


def test_stranger_at_the_door_is_not_believed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start fails with the server's own words when the kept password is not the server's."""
    (data / "pgpass").write_text("*:*:*:postgres:wrong\n*:*:*:route_ledger:wrong\n")
    monkeypatch.setattr("ledger.store.embedded._PATIENCE_SECONDS", 0.3)
    with pytest.raises(ServerStartFailed, match="password authentication failed"):
        start_embedded(data, extra_settings=FAST)
    assert read_embedded_url(data) is None


def test_interrupt_of_the_terminal_does_not_reach_the_server(data: Path) -> None:
    """The postmaster is in a session of its own, so Ctrl-C is for its owner alone."""
    with start_embedded(data, extra_settings=FAST) as server:
        assert os.getsid(server.postmaster_pid) == server.postmaster_pid
        assert os.getpgid(server.postmaster_pid) != os.getpgid(0)


def hold_on(server: EmbeddedServer) -> None:
    server.stop()
    time.sleep(600)


def test_forked_child_neither_stops_the_server_nor_keeps_the_lock(data: Path) -> None:
    """A child forked by the owner cannot stop the server, and its life does not keep the directory in use."""
    server = start_embedded(data, extra_settings=FAST)
    child = multiprocessing.get_context("fork").Process(target=hold_on, args=(server,))
    child.start()
    try:
        time.sleep(0.3)
        assert run_sql(server.url, "SELECT 1") == 1
        server.stop()
        start_embedded(data, extra_settings=FAST).stop()
    finally:
        child.kill()
        child.join()


def test_cleanup_deletes_the_cluster(data: Path) -> None:
    """A server started with `cleanup` leaves no cluster and no password behind."""
    start_embedded(data, extra_settings=FAST, cleanup=True).stop()
    assert sorted(path.name for path in data.iterdir()) == ["log", "owner.lock"]


def test_unusable_directory_is_explained(tmp_path: Path) -> None:
    """A data directory that is a file raises the one error type, with the path in its message."""
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="file"):
        start_embedded(tmp_path / "file")
