"""The extras of the package: their requirements, and which of these are missing."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

NOT_FOR_USERS = ("dev",)


def missing_packages() -> dict[str, list[str]]:
    """Extra -> packages that it needs on this Python and system, and that are missing or of another version."""
    needs: dict[str, list[Requirement]] = {}
    for line in requires("autocompose") or ():
        requirement = Requirement(line)
        for extra in _extras(line):
            if requirement.marker and requirement.marker.evaluate({"extra": extra}):
                needs.setdefault(extra, []).append(requirement)
    return {
        extra: sorted({text for need in requirements for text in _missing(need, needs)})
        for extra, requirements in sorted(needs.items())
        if extra not in NOT_FOR_USERS
    }


def _extras(line: str) -> list[str]:
    """The extras that a requirement's marker names."""
    _, _, marker = line.partition(";")
    return [part.strip("\"') ") for part in marker.split("extra ==")[1:]]


def _missing(need: Requirement, needs: dict[str, list[Requirement]]) -> list[str]:
    if need.name == "autocompose":
        return [text for extra in need.extras for inner in needs.get(extra, ()) for text in _missing(inner, needs)]
    try:
        fits = need.specifier.contains(version(need.name), prereleases=True)
    except PackageNotFoundError:
        fits = False
    return [] if fits else [f"{need.name}{need.specifier}"]
