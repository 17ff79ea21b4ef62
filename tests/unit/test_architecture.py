"""The import direction of docs/architecture.md, also for imports inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# From the top down: a package imports only from lines below its own, or itself.
LEVELS = [
    {"wsgi", "lti_app", "lti_app.celery", "lti_app.cli"},
    {
        "lti_app.dashboard",
        "lti_app.connection",
        "lti_app.people",
        "lti_app.deep_linking",
        "lti_app.families",
        "lti_app.accounts",
        "lti_app.members",
        "lti_app.metrics",
    },
    {"lti_app.courses", "lti_app.handbook", "lti_app.attendance"},
    {"lti_app.credits"},
    {"lti_app.gradebook"},
    {"lti_app.launches"},
    {"lti_app.roster"},
    {"lti_app.delivery"},
    {"lti_app.registrations"},
    {"lti_app.organisations"},
    {
        "lti_app.errors",
        "lti_app.security",
        "lti_app.config",
        "lti_app.extensions",
        "lti_app.clock",
        "lti_app.assets",
        "lti_app.logs",
        "lti_app.health",
    },
    {"integrations.lti", "integrations.content"},
    {"integrations.platforms"},
    {"integrations.terms"},
    {"integrations.http", "integrations.answers", "integrations.addresses"},
    {"integrations.errors"},
]
# The foundation's modules know each other.
FREE = [10, 14]
FORBIDDEN_IN_INTEGRATIONS = ("flask", "sqlalchemy", "lti_app", "flask_babel", "flask_sqlalchemy")
ONLY_IN = {
    "requests": {"integrations.http", "integrations.answers", "integrations.addresses"},
    "pylti1p3": {"lti_app.launches"},
}
PLATFORM_NAMES = ("moodle", "canvas", "brightspace", "blackboard", "open-edx", "openedx")


def modules() -> Iterator[tuple[str, Path]]:
    for top in ("lti_app", "integrations"):
        for path in sorted((ROOT / top).rglob("*.py")):
            yield (
                path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"),
                path,
            )
    yield "wsgi", ROOT / "wsgi.py"


def unit_of(module: str) -> str:
    """The package a module counts as: `lti_app.roster.models` is `lti_app.roster`."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] in ("lti_app", "integrations") else parts[0]


def level_of(unit: str) -> int:
    for number, units in enumerate(LEVELS):
        if unit in units:
            return number
    if unit.startswith("lti_app.") and not (ROOT / unit.replace(".", "/")).exists():
        return 0  # a name of the composition root, as in `from lti_app import create_app`
    raise AssertionError(f"{unit} has no place in the order of packages: give it one here and in the docs")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
            if node.module in ("lti_app", "integrations"):
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def violations(module: str, path: Path) -> Iterator[str]:
    unit = unit_of(module)
    for line, target in imported(path):
        where = f"{module}:{line} imports {target}"
        top = target.split(".")[0]
        if unit.startswith("integrations") and top in FORBIDDEN_IN_INTEGRATIONS:
            yield where
        if top in ONLY_IN and unit not in ONLY_IN[top]:
            yield where
        if top not in ("lti_app", "integrations") or unit_of(target) in (unit, "integrations"):
            continue
        if target == "lti_app":
            continue  # `from lti_app import cli` is judged by its second name
        mine, theirs = level_of(unit), level_of(unit_of(target))
        if theirs < mine or (theirs == mine and mine not in FREE and mine != 0):
            yield where


@pytest.mark.parametrize(("module", "path"), [pytest.param(m, p, id=m) for m, p in modules()])
def test_imports_go_downwards_only(module: str, path: Path) -> None:
    assert list(violations(module, path)) == []


@pytest.mark.parametrize(
    ("module", "path"),
    [
        pytest.param(m, p, id=m)
        for m, p in modules()
        if not m.startswith(("integrations.platforms", "integrations.errors"))
    ],
)
def test_no_code_asks_which_lms_it_talks_to(module: str, path: Path) -> None:
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.Match):
            for part in ast.walk(node):
                if (
                    isinstance(part, ast.Constant)
                    and isinstance(part.value, str)
                    and id(part) not in docstrings
                ):
                    assert part.value.lower() not in PLATFORM_NAMES, f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("lti_app.roster.models", "from lti_app.courses.models import Course"),
        ("lti_app.roster.models", "def f():\n    from lti_app.launches import services"),
        ("lti_app.dashboard.views", "import lti_app.people.services"),
        ("lti_app.gradebook.services", "from lti_app import create_app, cli"),
        ("lti_app.credits.services", "import requests"),
        ("lti_app.courses.views", "from pylti1p3.roles import StaffRole"),
        ("integrations.lti.ags", "import flask"),
        ("integrations.platforms.generic", "from integrations.lti import ags"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, module: str, line: str) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(line + "\n")
    assert list(violations(module, planted))
