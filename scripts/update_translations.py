"""Bring lti_app/translations/en up to date with the texts in code and templates.

Texts are Chinese in the code. New ones appear in messages.po with an empty msgstr: write the English there
and run the tests, which find what is missing. Texts that are gone are removed.
"""

from __future__ import annotations

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
PO = ROOT / "lti_app" / "translations" / "en" / "LC_MESSAGES" / "messages.po"
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"templates/**.html": {"trimmed": "false", "silent": "false"}}
KEYWORDS = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2), "_l": None}


def texts() -> Catalog:
    """Every text of the product, with the files it stands in."""
    found = Catalog(locale="en")
    for name, _line, message, comments, _context in extract_from_dir(
        ROOT / "lti_app", METHODS, OPTIONS, KEYWORDS, comment_tags=()
    ):
        found.add(message, locations=[(f"lti_app/{name}", 0)], auto_comments=comments)
    return found


def main() -> None:
    with PO.open("rb") as file:
        catalog = read_po(file, locale="en")
    catalog.update(texts(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    with PO.open("wb") as file:
        write_po(file, catalog, width=0, omit_header=False, sort_output=True, include_lineno=False)
    missing = [message.id for message in catalog if message.id and not message.string]
    print(f"{len(catalog)} texts, {len(missing)} without English")


if __name__ == "__main__":
    main()
