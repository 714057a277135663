"""What this machine has: cores, instructions, memory, room on the disk; as this process may use them."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMINFO, CPUINFO = Path("/proc/meminfo"), Path("/proc/cpuinfo")
BF16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}  # flag of the processor -> its usual name
SHOWN = {"avx2": "AVX2", "avx512f": "AVX-512", "neon": "NEON", "asimd": "NEON", "sve": "SVE"} | BF16


def cores() -> int:
    """Processor cores that this process may use: of those that it is bound to, what its container allows."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()
        return max(1, min(bound, round(int(quota) / int(period))))
    return bound


def processor() -> str:
    """The processor's name."""
    with suppress(OSError):
        if match := re.search(r"^(?:model name|Model)\s*:\s*(.+)", CPUINFO.read_text(), re.M):
            return match[1]
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def flags() -> set[str]:
    """The processor's instruction sets, as Linux names them; empty on other systems."""
    with suppress(OSError):
        line = re.search(r"^(?:flags|Features)\s*:\s*(.+)", CPUINFO.read_text(), re.M)
        return set(line[1].split()) if line else set()
    return set()


def instructions() -> list[str]:
    """The sets of instructions that matter for speed, by their usual names."""
    return list(dict.fromkeys(name for flag, name in SHOWN.items() if flag in flags()))


def bf16_instructions() -> list[str]:
    """Those that compute bf16 instead of emulating it."""
    return [name for flag, name in BF16.items() if flag in flags()]


def memory() -> tuple[int, int]:
    """Bytes of memory: what this process may use, and what of it is free; 0 where the system does not say."""
    total = free = 0
    with suppress(OSError):
        text = MEMINFO.read_text()
        sizes = {name: 1024 * int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        total, free = sizes.get("MemTotal", 0), sizes.get("MemAvailable", 0)
    if not total and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        total, free = min(total, limit), min(free, limit - used)
    return total, free


def free_disk(folder: Path) -> int:
    """Free bytes where a folder is, or would be made."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _sysctl(name: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5).stdout.strip()
    return ""
