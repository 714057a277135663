"""Render docs/rules_gallery.png and write docs/rules_gallery.md: ``python docs/make_rules_gallery.py``."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autocompose.bodies.kinematics import forward
from autocompose.bodies.motion import mocap
from autocompose.bodies.rendering.appearance import Look, Shot
from autocompose.bodies.rendering.body import Body
from autocompose.bodies.rendering.render import render
from autocompose.bodies.sampling.limits import to_rotations
from autocompose.bodies.sampling.sampler import FAMILIES, sample
from autocompose.describe.rules import RuleOptions, describe
from autocompose.prepare.pairing.pairs import mine_pairs, pose_features

SIZE, PAIRS, COLUMNS = 168, 20, 4
HERE = Path(__file__).parent
HEAD = """# Twenty pairs, their codes and their texts

Poses: the sampler's families and motion-capture clips; pairs: `pairs`, in-sequence and out-of-sequence; in each picture
pair the left one is the start. The person's own left is on the right of a picture in which they face us. Texts: bank
coach, no noise, filtered states, trunk on; the first tells everything that fits, the second skips at random. The third
line is bank human, the fourth bank independent. Made by `python docs/make_rules_gallery.py`.

![twenty pairs](rules_gallery.png)
"""


def pool(rng: np.random.Generator) -> tuple[np.ndarray, list[str], list[float]]:
    """Rotations, sequence names and seconds of sampled poses and of every fifth frame of the clips."""
    rotations, names, seconds = [], [], []
    for family in FAMILIES:
        drawn = to_rotations(sample(family, 60, rng))
        rotations.append(drawn)
        names += [f"{family} {i}" for i in range(len(drawn))]
        seconds += [0.0] * len(drawn)
    for path in mocap.clip_files():
        clip = mocap.read_clip(path)
        rotations.append(clip.rotations[::5])
        names += [clip.name] * len(clip.rotations[::5])
        seconds += clip.time[::5].tolist()
    return np.concatenate(rotations), names, seconds


def choose(joints: np.ndarray, mined: list, count: int) -> list:
    """Goal poses far from each other, the first from the middle of the list."""
    features = pose_features(joints[[m.goal for m in mined]])
    chosen = [len(mined) // 2]
    nearest = features @ features[chosen[0]]
    while len(chosen) < count:
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, features @ features[chosen[-1]])
    return [mined[i] for i in chosen]


def sheet(pictures: list[np.ndarray]) -> Image.Image:
    """Numbered pairs, four in a row, as a small palette picture."""
    rows = -(-PAIRS // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (2 * SIZE + 12), rows * (SIZE + 20)), (250, 250, 248))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=13)
    for i in range(PAIRS):
        x, y = i % COLUMNS * (2 * SIZE + 12), i // COLUMNS * (SIZE + 20)
        draw.text((x + 4, y + 1), str(i + 1), (40, 40, 40), font)
        for k in (0, 1):
            page.paste(Image.fromarray(pictures[2 * i + k]), (x + k * (SIZE + 2), y + 17))
    return page.quantize(160, dither=Image.Dither.NONE)


def main() -> None:
    """Write both files beside this script."""
    rng = np.random.default_rng(1)
    rotations, names, seconds = pool(rng)
    joints = forward(rotations)[0]
    mined = choose(joints, mine_pairs(joints, names, np.array(seconds)), PAIRS)
    rows = np.array([(m.start, m.goal) for m in mined])
    body, look, shot = Body(), Look(), Shot()
    posed = body.pose(rotations[rows.ravel()]).on_floor()
    pictures = [render(body, vertices, look, shot, SIZE) for vertices in posed.vertices]
    sheet(pictures).save(HERE / "rules_gallery.png", optimize=True)
    a, b = posed.smpl22[0::2], posed.smpl22[1::2]
    texts = [
        describe(a, b, 0, n, RuleOptions(bank=bank, noise=0, absolute="filtered", trunk=True), numbers=True)
        for bank, n in (("coach", 2), ("human", 1), ("independent", 1))
    ]
    lines = [HEAD]
    for i, m in enumerate(mined):
        codes = ", ".join(
            f"`{c['code']}` {c['from']:.3g} -> {c['to']:.3g} {c['unit']}" if "from" in c else f"`{c['code']}`"
            for c in texts[0][i].measured
        )
        where = "one motion" if m.in_sequence else "two motions"
        lines.append(f"**{i + 1}** ({names[m.start]} -> {names[m.goal]}, {where}). Codes: {codes}.\n")
        lines += [f"- {t}" for found in texts for t in found[i].texts] + [""]
    (HERE / "rules_gallery.md").write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
