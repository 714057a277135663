"""What the extras of the package lack."""

from autocompose.core import extras

LINES = [
    "numpy>=1.26",
    'pytest>=7; extra == "test"',
    'no-such-thing>=2; extra == "demo"',
    'numpy>=1000; extra == "demo"',
    "old-only; python_version < '3.8' and extra == 'demo'",
    'autocompose[demo]; extra == "serve"',
    "numpy>=1; extra == 'serve'",
    'no-such-thing; extra == "dev"',
]


def test_missing_packages_and_wrong_versions_are_named(monkeypatch):
    monkeypatch.setattr(extras, "requires", lambda _: LINES)
    lacking = ["no-such-thing>=2", "numpy>=1000"]
    assert extras.missing_packages() == {"demo": lacking, "serve": lacking, "test": []}


def test_the_real_package_has_extras():
    assert {"demo", "serve", "mllm"} <= extras.missing_packages().keys()
