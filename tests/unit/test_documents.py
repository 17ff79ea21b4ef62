"""Documents that must not fall behind: settings, commands, the folder page."""

from __future__ import annotations

import re
from collections.abc import Collection

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

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


def test_the_guides_call_our_pages_and_buttons_by_their_names() -> None:
    """What stands in bold in a guide stands on a page, in the guide's language."""
    with (ROOT / "lti_app" / "translations" / "en" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalog: Catalog = read_po(file)
    chinese = {str(message.id) for message in catalog if message.id}
    english = {str(message.string) for message in catalog if message.id and message.string}
    guides = [*(ROOT / "docs").rglob("connect-*.md"), *(ROOT / "docs").rglob("teacher-*.md")]
    assert len(guides) == 8
    for guide in guides:
        words = chinese if guide.parent.name == "zh" else english
        text = re.sub(r"\s*\n\s*", " ", guide.read_text())
        called = {name.strip() for bold in re.findall(r"\*\*(.+?)\*\*", text) for name in bold.split("→")}
        assert sorted(name for name in called if not _is_on_a_page(name, words)) == [], guide


def _is_on_a_page(name: str, words: Collection[str]) -> bool:
    """Placeholders of a page's text stand for anything."""
    filled = (re.split(r"%\(\w+\)s", text) for text in words if "%(" in text)
    return any(name in text for text in words) or any(
        re.fullmatch(".+".join(map(re.escape, parts)), name) for parts in filled
    )


def test_nothing_names_a_registry() -> None:
    locks = [*ROOT.glob("requirements*.lock"), *(ROOT / "tests").rglob("requirements*.lock")]
    assert locks
    for lock in locks:
        assert "://" not in lock.read_text(), lock.name
