"""Who listens on a port: so that `serve` can say by whom it is taken, not only that it is."""

import errno
import socket
from pathlib import Path

LISTENING = "0A"


def is_free(host: str, port: int) -> bool:
    """Return whether nobody listens there now. Raises OSError where nobody could: no such host, no right."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def who_listens(port: int) -> str:
    """Return the process that listens on a port as `name (pid 123)`, or `another process` where nobody may look."""
    inodes = listening_inodes(port)
    for process in sorted(Path("/proc").glob("[0-9]*")) if inodes else []:
        try:
            links = {descriptor.readlink().name for descriptor in (process / "fd").iterdir()}
            if links & inodes:
                name = (process / "comm").read_text().strip()
                return f"{name} (pid {process.name})"
        except OSError:
            continue
    return "another process"


def listening_inodes(port: int) -> set[str]:
    """Return the sockets that listen on a port, as `/proc/<pid>/fd` names them."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes
