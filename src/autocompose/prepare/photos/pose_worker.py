"""Finds people in pictures with MediaPipe; runs as a script in its own Python environment, imports nothing of ours.

MediaPipe 0.10.21 needs numpy < 2 and Python < 3.13, which the rest of the program does not share. Protocol: for each
picture the parent writes one JSON line ``{"height": H, "width": W}`` and H*W*3 bytes of RGB to stdin, and reads one
JSON line from stdout: ``{"people": [{"image": [[x, y, visibility] * 33], "world": [[x, y, z] * 33],
"box": [l, t, r, b]}]}``, picture coordinates in pixels, world in metres with y down and z away from the camera, the
hips at the origin.
MediaPipe finds one person, so the person found is painted over and the search repeats, up to ``MAX_PEOPLE`` times.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

MAX_PEOPLE = 4
MASKED_GREY = 127
LONG, WINDOW = 1.8, 1.3  # long side / short side: of pictures that are searched in windows, and of a window


def main() -> None:
    """Answer pictures until stdin ends; everything else that is printed goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # MediaPipe prints to stdout from C++
    import mediapipe
    import numpy

    settings = {"static_image_mode": True, "model_complexity": 1, "enable_segmentation": True}
    with mediapipe.solutions.pose.Pose(min_detection_confidence=0.5, **settings) as pose:
        answers.write(json.dumps({"ready": mediapipe.__version__}) + "\n")
        answers.flush()
        while line := sys.stdin.buffer.readline():
            shape = json.loads(line)
            height, width = shape["height"], shape["width"]
            data = sys.stdin.buffer.read(height * width * 3)
            pixels = numpy.frombuffer(data, numpy.uint8).reshape(height, width, 3).copy()
            answers.write(json.dumps({"people": find_people(pose, pixels, numpy)}) + "\n")
            answers.flush()


def find_people(pose: Any, pixels: Any, numpy: Any) -> list[dict[str, Any]]:
    """Detect, paint over, repeat; long pictures are searched window by window, for the detector sees a small square."""
    people: list[dict[str, Any]] = []
    for window in windows(pixels.shape[1], pixels.shape[0]):
        while len(people) < MAX_PEOPLE:
            person, mask = find_one(pose, pixels, window, numpy)
            if person is None or any(overlap(person["box"], p["box"]) > 0.7 for p in people):
                break  # nobody, or the same person again: painting over did not help
            if is_cut(person["box"], window, pixels.shape):
                break  # the next window shows this person whole
            people.append(person)
            pixels = painted_over(pixels, person, mask, window, numpy)
    return people


def windows(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """The whole picture, or for a long one overlapping parts of it, as left, top, right, bottom."""
    short, long = sorted((width, height))
    if long <= LONG * short:
        return [(0, 0, width, height)]
    side = round(WINDOW * short)
    count = -(-2 * (long - side) // side) + 1
    starts = [round(i * (long - side) / (count - 1)) for i in range(count)]
    if width > height:
        return [(start, 0, start + side, height) for start in starts]
    return [(0, start, width, start + side) for start in starts]


def find_one(pose: Any, pixels: Any, window: tuple[int, int, int, int], numpy: Any) -> tuple[Any, Any]:
    """The most prominent person in a window, in pixels of the whole picture, and the window's mask of it."""
    left, top, right, bottom = window
    found = pose.process(numpy.ascontiguousarray(pixels[top:bottom, left:right]))
    if found.pose_landmarks is None:
        return None, None
    size, corner = numpy.array([right - left, bottom - top, 1]), numpy.array([left, top, 0])
    local = numpy.array([(m.x, m.y, m.visibility) for m in found.pose_landmarks.landmark]) * size
    world = [[round(v, 5) for v in (m.x, m.y, m.z)] for m in found.pose_world_landmarks.landmark]
    mask = found.segmentation_mask > 0.3
    low_x, low_y, high_x, high_y = outline(local, found.segmentation_mask > 0.5, numpy)
    box = [low_x + left, low_y + top, high_x + left, high_y + top]
    return {"image": (local + corner).round(2).tolist(), "world": world, "box": box}, mask


def is_cut(box: list[int], window: tuple[int, int, int, int], shape: tuple[int, ...]) -> bool:
    """The box touches a side of the window that is not a side of the picture."""
    near = 3
    left, top, right, bottom = window
    return (
        (left > 0 and box[0] <= left + near)
        or (top > 0 and box[1] <= top + near)
        or (right < shape[1] and box[2] >= right - near)
        or (bottom < shape[0] and box[3] >= bottom - near)
    )


def painted_over(pixels: Any, person: dict[str, Any], mask: Any, window: tuple[int, int, int, int], numpy: Any) -> Any:
    """The picture without this person."""
    pixels = pixels.copy()
    box = person["box"]
    inside = pixels[window[1] : window[3], window[0] : window[2]]
    inside[grown(mask, max(2, (box[3] - box[1]) // 40), numpy)] = MASKED_GREY
    left, top, right, bottom = head_box(numpy.array(person["image"]), numpy)
    pixels[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = MASKED_GREY
    return pixels


def outline(points: Any, mask: Any, numpy: Any) -> list[int]:
    """Box [left, top, right, bottom] in pixels around the visible landmarks and the mask near them."""
    height, width = mask.shape
    seen = points[points[:, 2] > 0.5]
    seen = seen if len(seen) else points
    low, high = seen[:, :2].min(0), seen[:, :2].max(0)
    margin = 0.25 * max(high - low)
    rows, columns = numpy.nonzero(mask)
    near = (columns > low[0] - margin) & (columns < high[0] + margin)
    near &= (rows > low[1] - margin) & (rows < high[1] + margin)
    if near.any():
        low = numpy.minimum(low, [columns[near].min(), rows[near].min()])
        high = numpy.maximum(high, [columns[near].max(), rows[near].max()])
    low = numpy.clip(numpy.floor(low), 0, [width - 1, height - 1])
    high = numpy.clip(numpy.ceil(high), 1, [width, height])
    return [int(v) for v in (*low, *high)]


def head_box(points: Any, numpy: Any) -> list[int]:
    """The face is what the detector looks for, so it is painted over even where the mask fails."""
    low, high = points[:11, :2].min(0), points[:11, :2].max(0)
    grow = 0.6 * max(high - low)
    return [int(v) for v in (*(low - grow), *(high + grow))]


def grown(mask: Any, by: int, numpy: Any) -> Any:
    """The mask, ``by`` pixels larger on each side."""
    for axis in (0, 1):
        total = numpy.cumsum(numpy.pad(mask, [(by + 1, by) if a == axis else (0, 0) for a in (0, 1)]), axis, int)
        n = mask.shape[axis]
        mask = numpy.take(total, range(2 * by + 1, 2 * by + 1 + n), axis) - numpy.take(total, range(n), axis) > 0
    return mask


def overlap(a: list[int], b: list[int]) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = max(0, width) * max(0, height)
    area = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - inner
    return inner / area if area else 0.0


if __name__ == "__main__":
    main()
