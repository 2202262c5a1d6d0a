"""What a figure was measured on: without it the figure means nothing."""

import os
import platform
import resource
from pathlib import Path

import psycopg

SETTINGS = ("fsync", "full_page_writes", "synchronous_commit", "shared_buffers", "max_wal_size")


def describe_machine(url: str) -> dict[str, str]:
    """Return processor, cores, memory, the versions and the database's settings."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "select name, current_setting(name) from unnest(%s::text[]) as name", (list(SETTINGS),)
        )
        settings = ", ".join(f"{name} {value}" for name, value in rows.fetchall())
        version = connection.info.parameter_status("server_version") or "unknown"
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": f"{version} ({settings})",
    }


def processor() -> str:
    """Return the processor's name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def resident_bytes() -> int:
    """Return the memory that this process holds now; on a system that hides it, the most it ever held."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_bytes()


def peak_bytes() -> int:
    """Return the most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024
