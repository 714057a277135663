"""The frames of Stage I: how a question to the model names the sides of the body.

A frame has a prompt and a schema of answers (``asking/prompts/*/parts.FRAME.*``) and a rule that turns its sides into
the person's own (``judging/own_sides.py``).
"""

from __future__ import annotations

from enum import Enum


class Frame(str, Enum):
    """How Stage I names the sides of the body.

    ``colour``: limbs are tinted by side, the model names colours, and code turns them into sides (needs a pose).
    ``picture``: the model names the side of the picture and which way the person faces, and a rule converts it.
    ``words``: the model says the person's own left and right itself.
    ``auto``: chosen for each pair: ``colour`` where both pictures have keypoints; else ``picture``, and ``words`` when
    the model says that the person is seen from the side.
    """

    COLOUR = "colour"
    PICTURE = "picture"
    WORDS = "words"
    AUTO = "auto"

    def __str__(self) -> str:
        return self.value


QUESTION_FRAMES = (Frame.COLOUR, Frame.PICTURE, Frame.WORDS)
"""The frames of a single question; ``auto`` chooses among them."""
