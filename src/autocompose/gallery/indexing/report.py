"""What one run of ``index`` did, for the console: counts, and names for each reason to skip something."""

from __future__ import annotations

from dataclasses import dataclass, field

from autocompose.core.log import Tally
from autocompose.gallery.indexing.sidefiles import SideFile

NAMED = 5  # pictures that are named for each reason to leave them out


@dataclass
class Report:
    """What one run of ``build`` did to items: embedded, copied from duplicates, described anew, removed, left alone.

    :param held: items that stay because their picture, or a folder above it, cannot be read now.
    :param people: pictures that were searched for people; kept are those that show some.
    :param persons: people that were found in them.
    :param sides: how the side files were used.
    :param videos: files; ``seen``: a line for each video that was looked at.
    """

    tally: Tally
    embedded: int = 0
    copied: int = 0
    described: int = 0
    removed: int = 0
    unchanged: int = 0
    held: int = 0
    people: Tally = field(default_factory=lambda: Tally("searched for people"))
    persons: int = 0
    sides: list[SideFile] = field(default_factory=list)
    videos: Tally = field(default_factory=lambda: Tally("videos"))
    seen: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For the console: what came in, a line with names for each reason to leave out, what was done to items."""
        counts = f"{self.embedded} embedded, {self.copied} copied from duplicates, {self.described} with new metadata"
        items = f"items: {counts}, {self.removed} removed, {self.unchanged} unchanged"
        if self.held:
            items += f", {self.held} kept though their pictures cannot be read now"
        lines = [self.tally.line(), *_left_out(self.tally)] if self.tally.total or not self.videos.total else []
        if self.videos.total:
            lines += [self.videos.line(), *_left_out(self.videos), *(f"  {line}" for line in self.seen)]
        for side in self.sides:
            if side.speaks:
                lines += [side.tally.line(), *_left_out(side.tally), *(f"  {note}" for note in side.notes)]
        if looked := self.people.kept + sum(self.people.dropped.values()):
            poses = f"{self.persons} people with a pose in {self.people.kept} of them"
            lines += [f"pictures searched for people: {looked}; {poses}", *_left_out(self.people)]
        return "\n".join([*lines, items])


def _left_out(tally: Tally) -> list[str]:
    """A line with names for each reason to skip something."""
    named = {reason: names[:NAMED] for reason, names in tally.examples.items() if tally.dropped[reason]}
    return [
        f"  {reason}: {', '.join(names)}{' ...' if tally.dropped[reason] > len(names) else ''}"
        for reason, names in named.items()
    ]
