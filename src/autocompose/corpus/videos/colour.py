"""High dynamic range for eyes and networks that expect a photograph: tone mapping to sRGB."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

PQ, HLG = 16, 18  # transfer characteristics, as ITU-T H.273 numbers them
BT2020 = 9  # colour primaries, likewise
WHITE, BRIGHTEST = 203.0, 1000.0  # candela per square metre: paper white (ITU-R BT.2408), and what becomes white here
_STEPS = 4096
# linear BT.2020 -> linear BT.709 (ITU-R BT.2087)
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def to_sdr(pixels: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Frames in PQ or HLG as sRGB.

    Reinhard's curve with a white point keeps mid-tones and bends highlights.

    :param pixels: ``(H, W, 3)`` uint16 over their full range. :param transfer: PQ or HLG.
    :return: ``(H, W, 3)`` uint8.
    """
    light = _linear(transfer)[pixels >> 4]
    if primaries == BT2020:
        light = np.clip(light @ _TO_709.T, 0, None)
    bent = light * (1 + light / (BRIGHTEST / WHITE) ** 2) / (1 + light)
    return (np.clip(bent, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


@lru_cache(2)
def _linear(transfer: int) -> np.ndarray:
    """``(4096,)`` float32: signal -> light relative to paper white (ITU-R BT.2100)."""
    signal = np.linspace(0, 1, _STEPS)
    if transfer == PQ:
        power = signal ** (1 / 78.84375)
        ratio = np.clip(power - 0.8359375, 0, None) / (18.8515625 - 18.6875 * power)
        light = 10_000 * ratio ** (1 / 0.1593017578125)
    else:
        light = BRIGHTEST * np.where(
            signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        )
    return (light / WHITE).astype(np.float32)
