"""Documents that must not fall behind: settings, commands, the folder page."""

from __future__ import annotations

import re

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_every_setting_stands_in_the_readme_and_no_other() -> None:
    source = (ROOT / "lti_app" / "config.py").read_text()
    read = {f"GONGYU_{name}" for name in re.findall(r'env\.(?!prefixed)\w+\(\s*"([A-Z_]+)"', source)}
    told = set(re.findall(r"^\| `(GONGYU_[A-Z_]+)` \|", README, re.MULTILINE))
    assert read == told


def test_every_package_stands_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    packages = [
        path.parent.name for path in (ROOT / "lti_app").glob("*/__init__.py") if path.parent.name != "demo"
    ]
    assert [name for name in packages if f"`lti_app/{name}/`" not in page and f"`{name}/`" not in page] == []


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} -> {target}"


def test_nothing_names_a_registry() -> None:
    locks = [*ROOT.glob("requirements*.lock"), *(ROOT / "tests").rglob("requirements*.lock")]
    assert locks
    for lock in locks:
        assert "://" not in lock.read_text(), lock.name
