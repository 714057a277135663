"""The comparison of a result with the reference, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from autocompose.gallery.answer import Reference
from autocompose.gallery.item import Item
from autocompose.gallery.pose import Pose
from autocompose.gallery.search import Gallery
from autocompose.gallery.server.app import create_app
from autocompose.gallery.server.compare import NO_CHANGE, compared
from tests.describe.audit.poses import standing

UP = standing(left_elbow=(0.2, 0.35, 0.0), left_wrist=(0.25, 0.95, 0.0)).astype(np.float32)
DOWN = standing().astype(np.float32)
ITEM = Item("a.png", "0" * 64, 1, 1, 40, 40)


def reference(pose: Pose | None) -> Reference:
    return Reference(lambda: Image.new("RGB", (4, 4)), pose=pose)


def test_known_and_estimated_poses() -> None:
    doubts = np.full(22, 0.02, np.float32)
    known = compared(reference(Pose(DOWN)), replace(ITEM, pose=Pose(UP)))
    estimated = compared(reference(Pose(DOWN, doubts)), replace(ITEM, pose=Pose(UP, doubts)))
    for found in (known, estimated):
        hand = next(one for one in found["measurements"] if one["code"] == "height:left_hand")
        assert hand["category"] == "up" and "left" in found["text"].lower()
    assert all(one["uncertainty"] == 0 for one in known["measurements"])
    assert all(one["uncertainty"] > 0 for one in estimated["measurements"])


def test_a_mirrored_reference_and_no_change() -> None:
    found = compared(reference(Pose(DOWN)), replace(ITEM, pose=Pose(DOWN)))
    assert (found["text"], found["measurements"]) == (NO_CHANGE, [])
    mirrored = compared(reference(Pose(UP)), replace(ITEM, pose=Pose(UP).mirrored()), mirror=True)
    assert mirrored["text"] == NO_CHANGE


def test_without_a_pose_it_says_why() -> None:
    assert "nobody was found" in compared(reference(None), replace(ITEM, pose=Pose(UP)))["text"]
    assert "no pose is known of the result" in compared(reference(Pose(UP)), ITEM)["text"]
    assert "nobody was found in the result" in compared(reference(Pose(UP)), replace(ITEM, searched=True))["text"]


def test_the_interface(small_gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    first, second = small_gallery.store.sample(2)
    with TestClient(create_app(small_gallery, tmp_path / "uploads"), "http://localhost") as client:
        answer = client.get(f"/api/compare/{second.key}", params={"ref": first.key})
        assert answer.status_code == 200 and answer.json()["text"].startswith("Not compared: ")
        assert client.get(f"/api/compare/{second.key}", params={"ref": "nowhere.png"}).status_code == 404
        assert client.get("/api/compare/000000000000000", params={"ref": first.key}).status_code == 404
        assert 'id="compare-change"' in client.get("/", params={"ref": first.key}).text
