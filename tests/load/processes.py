"""What the processes of a measurement cost, from /proc (Linux): CPU seconds and resident memory."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU that a process and its living descendants have used, in seconds."""
    ticks = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime (proc_pid_stat(5))
    return ticks / _TICKS


def machine_cpu_seconds() -> float:
    """CPU that everything on the machine has used, in seconds."""
    user, nice, system, *_ = (int(field) for field in Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / _TICKS


def memory_mb(pid: int) -> float:
    """Resident memory of one process in MB (10^6 bytes)."""
    return _status_mb(pid, "VmRSS")


def peak_memory_mb(pid: int) -> float:
    """The most that it has been since the process began, or since `forget_peak`.

    Not `ru_maxrss`: that of a new process begins with what its parent had.
    """
    return _status_mb(pid, "VmHWM")


def forget_peak() -> None:
    """Begin to note this process's peak anew (proc_pid_clear_refs(5))."""
    Path("/proc/self/clear_refs").write_text("5")


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
