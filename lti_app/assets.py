"""Static files and translations, built once per content at start: hashed, compressed, served immutable.

`init_assets(app)` puts everything a browser loads below `<instance>/build/<hash>/static` and the compiled
translations beside it. The hash covers every source, so a changed file has a new address and no cache lies.
Call it before or after `Babel.init_app`.
"""

from __future__ import annotations

import atexit
import hashlib
import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from wsgiref.headers import Headers

import flask_bootstrap
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import Flask, has_request_context, request
from markupsafe import Markup
from whitenoise import WhiteNoise
from whitenoise.compress import Compressor

HERE = Path(__file__).parent
BOOTSTRAP = Path(flask_bootstrap.__file__).parent / "static" / "bootstrap5"
SPRITE = BOOTSTRAP / "icons" / "bootstrap-icons.svg"

# Raised when the way of building changes, so that builds of older code are not taken for ours.
BUILD_FORMAT = b"1"
# Named here and not left to the machine's mime table: a module with a wrong type does not run.
MIME_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".vtt": "text/vtt",
    ".webmanifest": "application/manifest+json",
}
_ICON_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def init_assets(
    app: Flask,
    *,
    static_folder: Path = HERE / "static",
    translations_folder: Path = HERE / "translations",
) -> None:
    """Build what is missing, serve it below `/static/<hash>/`, and give templates `asset()` and `icon()`."""
    sources = dict(_sources(static_folder))
    catalogues = {path.relative_to(translations_folder): path for path in translations_folder.rglob("*.po")}
    digest = _digest(sources, catalogues)
    build = _ensure_build(Path(app.instance_path) / "build", digest, sources, catalogues)
    _use_translations(app, str(build / "translations"))
    prefix = f"/static/{digest}"
    # WSGI middleware is put on by assignment; mypy sees a method there.
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app,
        root=build / "static",
        prefix=prefix,
        mimetypes=MIME_TYPES,
        allow_all_origins=False,
        immutable_file_test=lambda path, url: True,
        add_headers_function=_add_headers,
    )
    known = frozenset(name.as_posix() for name in sources)

    def asset(name: str) -> str:
        """The address of a static file below any mount point; LookupError for a name that we do not ship."""
        if name not in known:
            raise LookupError(f"no static file named {name!r}")
        mount = request.script_root if has_request_context() else ""
        return f"{mount}{prefix}/{name}"

    app.jinja_env.globals.update(asset=asset, icon=icon)


def _use_translations(app: Flask, directory: str) -> None:
    """Make Flask-Babel read `directory`, whether or not it has been initialised yet."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = directory
    if "babel" in app.extensions:  # it reads the setting only once, so tell it
        app.extensions["babel"].translation_directories[:] = [directory]


def icon(name: str, label: str | None = None) -> Markup:
    """One Bootstrap icon as inline SVG, silent for screen readers unless labelled; LookupError if unknown."""
    voice = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup(
        '<svg class="icon" width="1em" height="1em" fill="currentColor" focusable="false" {} {}</svg>'
    ).format(voice, _symbol(name))


@lru_cache(maxsize=256)
def _symbol(name: str) -> Markup:
    """`viewBox="…">` and the shapes of one symbol; the 1.1 MB sprite is mapped, searched and let go."""
    if not _ICON_NAME.fullmatch(name):
        raise LookupError(f"no icon can be named {name!r}")
    with SPRITE.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as sprite:
        at = sprite.find(f' id="{name}"'.encode())
        if at < 0:
            raise LookupError(f"Bootstrap Icons has no {name!r}")
        head = sprite[sprite.rfind(b"<symbol", 0, at) : sprite.find(b">", at)]
        body = sprite[sprite.find(b">", at) + 1 : sprite.find(b"</symbol>", at)]
    box = re.search(rb'viewBox="[^"]*"', head)
    view_box = box.group().decode() if box else 'viewBox="0 0 16 16"'
    return Markup(f"{view_box}>{body.decode()}")  # the package's own markup, no input of anybody's


def _sources(static_folder: Path) -> Iterator[tuple[Path, Path]]:
    """Every file to serve as (name below the prefix, where it lies); hidden files stay at home."""
    for path in sorted(static_folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(static_folder), path
    yield Path("bootstrap.min.css"), BOOTSTRAP / "css" / "bootstrap.min.css"


def _digest(*groups: dict[Path, Path]) -> str:
    """Twelve hexadecimal digits over the names and bytes of all sources and the build format."""
    seen = hashlib.sha256(BUILD_FORMAT)
    for group in groups:
        for name, path in sorted(group.items()):
            content = path.read_bytes()
            seen.update(f"{name.as_posix()}\0{len(content)}\0".encode() + content)
    return seen.hexdigest()[:12]


def _ensure_build(folder: Path, digest: str, sources: dict[Path, Path], catalogues: dict[Path, Path]) -> Path:
    """The complete build of this digest: found, made in `folder`, or made in a private temporary folder."""
    target = folder / digest
    if target.is_dir():  # only ever renamed into place, so it is complete
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{digest}-", dir=folder))
    except OSError:  # a read-only instance: correct all the same, only not kept
        return _build_in(_private_folder(), sources, catalogues)
    try:
        _build_in(scratch, sources, catalogues)
        scratch.chmod(0o755)  # mkdtemp's 0700 would shut out a server that runs as another user
        scratch.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        # Another process was first with the same content.
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _private_folder() -> Path:
    """A new temporary folder that goes away with the process that made it, not with its forked workers."""
    folder = Path(tempfile.mkdtemp(prefix="gongyu-build-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _build_in(folder: Path, sources: dict[Path, Path], catalogues: dict[Path, Path]) -> Path:
    """Copy and compress the sources and compile the catalogues below `folder`, and return it."""
    compressor = Compressor(quiet=True)
    for name, path in sources.items():
        copy = _place(folder / "static" / name)
        shutil.copyfile(path, copy)
        if compressor.should_compress(copy.name):
            compressor.compress(str(copy))
    _place(folder / "translations" / "any")
    for name, path in catalogues.items():
        compiled = _place((folder / "translations" / name).with_suffix(".mo"))
        with path.open("rb") as source, compiled.open("wb") as out:
            write_mo(out, read_po(source, locale=name.parts[0]))
    return folder


def _place(path: Path) -> Path:
    """`path`, with its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _add_headers(headers: Headers, path: str, url: str) -> None:
    """A static file is what its type says, and only our own pages may load it."""
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
