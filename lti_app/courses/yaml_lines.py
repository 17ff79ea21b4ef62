"""YAML that knows its lines: for error messages that name the file and the line an author has to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong in a file; `line` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class BadYaml(Exception):
    """The text is no YAML that we take. `line` counts from 1 within the text."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """Loaded YAML and where each value stands; lines count from 1 in the file it was cut from."""

    data: Any
    lines: dict[Path, int]

    def line_of(self, path: Path) -> int:
        """The line of the value at `path`, or of the nearest value around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(yaml.SafeLoader):
    """Without aliases: nine lines of them unfold to billions of values, and no course needs one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases are not allowed", problem_mark=self.peek_event().start_mark
            )
        return super().compose_node(parent, index)


def load_yaml(text: str, first_line: int = 1) -> Document:
    """Read one YAML document that starts at `first_line` of its file. Raises BadYaml."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(None, {(): first_line})
        lines = dict(_lines(node, first_line))
        return Document(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = first_line + (mark.line if mark else 0)
        raise BadYaml(line, f"not valid YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = first_line + text.count("\n", 0, error.position)
        raise BadYaml(line, "not valid YAML: a character that is not allowed") from error
    except RecursionError as error:
        raise BadYaml(first_line, "not valid YAML: nested too deeply") from error
    except (ValueError, LookupError, AttributeError) as error:  # a value that is not what its tag says
        raise BadYaml(first_line, f"not valid YAML: {error}") from error


def _lines(node: yaml.Node, first_line: int, path: Path = ()) -> Iterator[tuple[Path, int]]:
    """The line of every value below `node`. Raises MarkedYAMLError for a key that is given twice."""
    yield path, first_line + node.start_mark.line
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(item, first_line, (*path, index))
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {name!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(name)
            yield from _lines(value, first_line, (*path, name))
            # The key's own line: a folded text starts on the next one.
            yield (*path, name), first_line + key.start_mark.line


def flatten(messages: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every message of a marshmallow ValidationError with the path of its value."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            yield from flatten(inner, path if key == "_schema" else (*path, key))
    elif isinstance(messages, list):
        for inner in messages:
            yield from flatten(inner, path)
    else:
        yield path, str(messages)
