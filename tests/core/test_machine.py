"""What a machine has, read from files that stand for other machines."""

import os

import pytest

from autocompose.core import machine

XEON = "model name\t: Xeon X\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile\nmodel name\t: Xeon X\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16 sve\n"
MEMORY = "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("CPUINFO", "MEMINFO"):
        monkeypatch.setattr(machine, name, tmp_path / name)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "names", "bf16"),
    [
        (XEON, ["AVX2", "AVX-512", "AMX", "AVX512-BF16"], ["AMX", "AVX512-BF16"]),
        ("flags : fpu avx2\n", ["AVX2"], []),
        (ARM, ["NEON", "SVE"], []),
        ("", [], []),
    ],
)
def test_instructions(place, text, names, bf16):
    (place / "CPUINFO").write_text(text)
    assert machine.instructions() == names
    assert machine.bf16_instructions() == bf16
    assert machine.processor() == "Xeon X" if text == XEON else machine.processor()


def test_a_system_without_these_files(place):
    assert machine.flags() == set()
    assert machine.processor()
    assert machine.memory()[0] >= 0


@pytest.mark.parametrize(
    ("quota", "wanted"), [("max 100000", 4), ("200000 100000", 2), ("50000 100000", 1), ("900000 100000", 4)]
)
def test_cores_of_a_container(place, monkeypatch, quota, wanted):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    (place / "cpu.max").write_text(quota)
    assert machine.cores() == wanted


def test_memory_of_a_container(place):
    (place / "MEMINFO").write_text(MEMORY)
    assert machine.memory() == (2 << 20, 1 << 20)
    (place / "memory.max").write_text("max")
    assert machine.memory() == (2 << 20, 1 << 20)
    (place / "memory.max").write_text(str(1 << 20))
    (place / "memory.current").write_text(str(1 << 19))
    assert machine.memory() == (1 << 20, 1 << 19)


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert machine.free_disk(tmp_path / "a" / "b") == pytest.approx(machine.free_disk(tmp_path), rel=0.1)
