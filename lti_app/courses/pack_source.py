"""One course pack while it is read: its files, and everything that is wrong with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError

from lti_app.courses.pack_files import MAX_TEXT, BadFile, MediaFile, check_media, read_text
from lti_app.courses.yaml_lines import BadYaml, Document, Problem, flatten, load_yaml


@dataclass
class PackSource:
    """The regular files of the pack in `folder`; problems name them with `label` before."""

    folder: Path
    label: str
    problems: list[Problem] = field(default_factory=list)
    files: frozenset[str] = frozenset()
    text_left: int = MAX_TEXT
    digests: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of every file that counts, by its name in the pack."""

    def wrong(self, file: str, line: int, message: str) -> None:
        self.problems.append(Problem(self.label + file, line, message))

    def text(self, name: str) -> str | None:
        """The text of a file of the pack; None (and a problem) when it cannot be read."""
        if name not in self.files:
            self.wrong(name, 1, "is missing")
            return None
        try:
            text = read_text(self.folder / name, self.text_left)
        except BadFile as error:
            self.wrong(name, error.line, str(error))
            return None
        content = text.encode()
        self.text_left -= len(content)
        self.digests[name] = hashlib.sha256(content).hexdigest()
        return text

    def load(
        self, name: str, text: str | None, first_line: int, schema: Schema
    ) -> tuple[dict[str, Any], Document] | None:
        """YAML that `schema` accepts, and where its values stand; None (and problems) when it does not."""
        if text is None:
            return None
        try:
            document = load_yaml(text, first_line)
            if not isinstance(document.data, dict):
                raise BadYaml(first_line, "must be a mapping (key: value)")
        except BadYaml as error:
            self.wrong(name, error.line, str(error))
            return None
        try:
            return schema.load(document.data), document
        except ValidationError as error:
            for path, message in flatten(error.messages):
                what = ".".join(str(part + 1 if isinstance(part, int) else part) for part in path)
                self.wrong(name, document.line_of(path), f"{what}: {message}" if what else message)
            return None

    def media(self, name: str, line: int, what: str, path: str, suffixes: frozenset[str]) -> MediaFile | None:
        """A media file that `name` refers to at `line`; None (and a problem) when it will not do."""
        try:
            file = check_media(self.folder, path, self.files, suffixes)
        except BadFile as error:
            self.wrong(name, line, f"{what}: {error}")
            return None
        self.digests[path] = file.sha256
        return file

    def content_hash(self) -> str:
        """Over the names and contents of all files that count."""
        lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(self.digests.items()))
        return hashlib.sha256(lines.encode()).hexdigest()
