"""Preparing pictures to send: upright, mirrored on request, with aids drawn in, scaled down, without metadata.

Only pixels survive, so EXIF, GPS and file names never leave the machine.
"""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from autocompose.bodies.skeleton import COCO17, SMPL22, mirror_joints, mirror_order
from autocompose.core.errors import ConfigError, ImageError
from autocompose.core.files import file_hash
from autocompose.corpus.format import Corpus
from autocompose.corpus.pictures.gate import Picture as PictureFile
from autocompose.corpus.pictures.gate import bare, image_size
from autocompose.describe.mllm.asking.side_views import COLOURS, side_view
from autocompose.describe.mllm.asks import Item, Picture
from autocompose.describe.mllm.frames import Frame
from autocompose.describe.mllm.recipe import Recipe

STRENGTH = 150
LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
FRONTAL = 0.1
"""A body counts as seen from the front or back when its shoulders are so far apart, as a share of its extent."""
CROSSED = 0.25
"""Limbs cross when their ends are so far on the wrong sides, as a share of how far apart the limbs begin."""
QUALITY = 90
GAP = 16
POINTS = "coco2d"
"""Column of ``poses.npz``: ``(N, 17, 2)`` COCO keypoints in pixels of the upright picture."""


class Pictures:
    """Prepares the pictures of a corpus by a recipe; keeps the latest ones.

    :param keep: encoded pictures in memory; of decoded ones, which are far larger, a quarter.
    :raises ConfigError: the recipe needs keypoints or joints that the corpus does not have.
    """

    def __init__(self, corpus: Corpus, recipe: Recipe, keep: int = 256) -> None:
        self.corpus, self.recipe = corpus, recipe
        self._rows = corpus.poses.index() if corpus.poses else {}
        self._points = corpus.poses.columns.get(POINTS) if corpus.poses else None
        needs = {"--frame colour": recipe.frame is Frame.COLOUR, "--joints": recipe.joints}
        needs["--blur-faces"] = recipe.blur_faces
        if self._points is None and (wanted := [name for name, on in needs.items() if on]):
            raise ConfigError(
                f"{corpus.root}: {wanted[0]} needs the column {POINTS!r} in poses.npz (keypoints in pixels); "
                "pass --frame picture or --frame words for pictures without poses"
            )
        if recipe.speaks_of_sides and corpus.poses is None:
            raise ConfigError(f"{corpus.root}: {recipe.speaks_of_sides} needs poses.npz with 3D joints; leave it out")
        self.image = lru_cache(keep // 4)(self._image)
        self._encoded = lru_cache(keep)(self._encode_one)
        self._hash = lru_cache(65536)(self._hash_of)

    def of(self, item: Item, frame: Frame | None = None) -> tuple[Picture, ...]:
        """The picture(s) of a pair under its edit: reference and target (each with its side view), or one with both.

        :param frame: of the question; default: the recipe's.
        :raises ImageError: a picture cannot be opened, or its pose is needed and not known.
        """
        names, mirrored = self.names(item), item.edit.mirrors
        tinted = (frame or self.recipe.frame) is Frame.COLOUR
        if self.recipe.pictures == "side-by-side":
            return (encode(beside(*(self.image(n, mirrored, tinted) for n in names)), self.recipe.format),)
        if self.recipe.side_view:
            return tuple(p for n in names for p in (self._encoded(n, mirrored, tinted), self._side_view(n, mirrored)))
        return tuple(self._encoded(name, mirrored, tinted) for name in names)

    def knows(self, name: str) -> bool:
        """Whether the keypoints of a picture are known."""
        row = self._rows.get(name)
        return self._points is not None and row is not None and bool(np.isfinite(self._points[row]).all())

    def _side_view(self, name: str, mirrored: bool) -> Picture:
        row, poses = self._rows.get(name), self.corpus.poses
        if poses is None or row is None or not np.isfinite(poses.joints[row]).all():
            raise ImageError(f"{self.corpus.image_path(name)}: no 3D pose, which --pictures with-side-view needs")
        joints = mirror_joints(poses.joints[row]) if mirrored else poses.joints[row]
        return encode(side_view(joints, self.recipe.size // 2), self.recipe.format)

    def names(self, item: Item) -> tuple[str, str]:
        """Reference and target under the item's edit."""
        return (item.target, item.reference) if item.edit.reverses else (item.reference, item.target)

    def inputs(self, item: Item) -> str:
        """Hash of everything behind the item's texts that lies in files: both pictures and their poses.

        A picture that cannot be read counts as absent in the hash; opening it later raises the error.
        """
        return hashlib.sha256((self._hash(item.reference) + self._hash(item.target)).encode()).hexdigest()[:16]

    def keypoints(self, name: str, mirrored: bool, size: tuple[int, int], stored: tuple[int, int]) -> np.ndarray | None:
        """``(17, 2)`` COCO keypoints in pixels of a picture shown at ``size``; None when unknown.

        Mirroring exchanges the sides too, so that "left" stays the person's own.
        """
        row = self._rows.get(name)
        if self._points is None or row is None or not self.knows(name):
            return None
        points = self._points[row] * (np.array(size) / np.array(stored))
        if mirrored:
            points = points[mirror_order(COCO17)]
            points = np.stack([size[0] - 1 - points[:, 0], points[:, 1]], 1)
        return points

    def left_hand_side(self, item: Item) -> str | None:
        """Where the person's left hand is in the item's first picture: image_left, image_right; None when unclear."""
        name = self.names(item)[0]
        image = self.image(name, item.edit.mirrors, False)
        points = self.keypoints(name, item.edit.mirrors, image.size, self._stored(name))
        if points is None:
            return None
        middle = points[[COCO17.index("left_hip"), COCO17.index("right_hip")], 0].mean()
        away = points[COCO17.index("left_wrist"), 0] - middle
        if abs(away) < 0.05 * image.width:
            return None
        return "image_left" if away < 0 else "image_right"

    def crossed(self, item: Item) -> bool:
        """Arms or legs cross in one of the item's pictures, so that a side of the picture says little about a limb.

        False when it is unknown: without keypoints and 3D poses, and for a body seen from its side.
        """
        poses = self.corpus.poses
        for name in (item.reference, item.target):
            row = self._rows.get(name)
            if row is None or poses is None:
                continue
            flat, names = (poses.joints, SMPL22) if self._points is None else (self._points, COCO17)
            if limbs_cross(flat[row], names):
                return True
        return False

    def _stored(self, name: str) -> tuple[int, int]:
        return image_size(self.corpus.image_path(name))

    def _hash_of(self, name: str) -> str:
        try:
            content_hash = file_hash(self.corpus.image_path(name))
        except OSError:
            return f"unreadable:{name}"
        row = self._rows.get(name)
        used = [self._points] if self._points is not None else []
        if self.recipe.speaks_of_sides and self.corpus.poses is not None:
            used.append(self.corpus.poses.joints)
        shown = b"" if row is None else b"".join(np.ascontiguousarray(array[row]).tobytes() for array in used)
        return content_hash + hashlib.sha256(shown).hexdigest()

    def _image(self, name: str, mirrored: bool, tinted: bool) -> Image.Image:
        with PictureFile(self.corpus.image_path(name)) as file:
            stored, image = file.size, file.decode(2 * self.recipe.size)
        image.thumbnail((self.recipe.size, self.recipe.size), Image.Resampling.LANCZOS)
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        points = self.keypoints(name, mirrored, image.size, stored)
        drawn = {"--frame colour": tinted, "--joints": self.recipe.joints}
        drawn["--blur-faces"] = self.recipe.blur_faces
        if points is None and any(drawn.values()):
            option = next(name for name, on in drawn.items() if on)
            raise ImageError(f"{self.corpus.image_path(name)}: no keypoints in poses.npz, which {option} needs")
        if points is not None:
            if self.recipe.blur_faces:
                image = blur_face(image, points)
            if tinted:
                image = tint(image, points)
            if self.recipe.joints:
                image = mark_joints(image, points)
        return image

    def _encode_one(self, name: str, mirrored: bool, tinted: bool) -> Picture:
        return encode(self.image(name, mirrored, tinted), self.recipe.format)


def has_keypoints(corpus: Corpus) -> bool:
    """The corpus has keypoints in pixels for its pictures."""
    return corpus.poses is not None and POINTS in corpus.poses.columns


def default_frame(corpus: Corpus) -> Frame:
    """The frame when the user chooses none: colour where the joints are known."""
    return Frame.COLOUR if has_keypoints(corpus) else Frame.PICTURE


def encode(image: Image.Image, kind: str) -> Picture:
    """JPEG (quality 90) or PNG bytes of the bare pixels."""
    buffer = io.BytesIO()
    bare(image).save(buffer, kind.upper(), **({"quality": QUALITY} if kind == "jpeg" else {}))
    return Picture(buffer.getvalue(), f"image/{kind}")


def beside(first: Image.Image, second: Image.Image) -> Image.Image:
    """Two pictures side by side with a grey gap."""
    canvas = Image.new("RGB", (first.width + GAP + second.width, max(first.height, second.height)), (128, 128, 128))
    canvas.paste(first, (0, 0))
    canvas.paste(second, (first.width + GAP, 0))
    return canvas


def tint(image: Image.Image, points: np.ndarray, seen: np.ndarray | None = None) -> Image.Image:
    """Lay a transparent colour over arms and legs, by the person's own side.

    :param points: ``(17, 2)`` COCO keypoints, pixels.
    :param seen: ``(17,)`` bool; a limb with a joint that is not seen is left as it is. None: all are.
    """
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    width = max(3.0, 0.22 * _trunk(points))
    for side, colour in COLOURS.items():
        for limb in LIMBS:
            joints = [COCO17.index(f"{side}_{joint}") for joint in limb]
            if seen is not None and not seen[joints].all():
                continue
            line = [tuple(points[joint]) for joint in joints]
            thick = width * (1.2 if limb[0] == "hip" else 1.0)
            draw.line(line, fill=(*colour, STRENGTH), width=round(thick), joint="curve")
            for x, y in (line[0], line[-1]):
                draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=(*colour, STRENGTH))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def mark_joints(image: Image.Image, points: np.ndarray) -> Image.Image:
    """Mark every joint but those of the face with a dot."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    radius = max(2.0, 0.04 * _trunk(points))
    for x, y in points[5:]:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255), outline=(0, 0, 0))
    return image


def limbs_cross(points: np.ndarray, names: tuple[str, ...]) -> bool:
    """Whether hands or feet are in the opposite order to shoulders or hips, in a body seen from the front or back.

    :param points: ``(J, 2)`` or ``(J, 3)`` joints ``names``; the first coordinate runs along the picture, in any unit.
        NaN counts as not crossed.
    """

    def apart(joint: str) -> float:
        return float(points[names.index(f"left_{joint}"), 0] - points[names.index(f"right_{joint}"), 0])

    extent = np.ptp(points[:, :2], axis=0).max()
    if not abs(apart("shoulder")) > FRONTAL * extent:
        return False
    return any(apart(root) * apart(end) < -CROSSED * apart(root) ** 2 for root, _, end in LIMBS)


def blur_face(image: Image.Image, points: np.ndarray) -> Image.Image:
    """Blur a disc over nose, eyes and ears beyond recognition."""
    centre = points[:5].mean(0)
    radius = max(4.0, 1.6 * float(np.abs(points[:5] - centre).max()), 0.25 * _trunk(points))
    mask = Image.new("L", image.size, 0)
    box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return Image.composite(image.filter(ImageFilter.GaussianBlur(radius / 2)), image, mask)


def _trunk(points: np.ndarray) -> float:
    """Length of the trunk in pixels, at least a tenth of the body's extent (a person bent towards the camera)."""
    shoulders, hips = points[5:7].mean(0), points[11:13].mean(0)
    return float(max(np.linalg.norm(shoulders - hips), 0.1 * np.ptp(points, axis=0).max()))
