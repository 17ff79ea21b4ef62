"""Static files, icons, compiled translations, and the promises of the design language."""

from __future__ import annotations

import gzip
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask, render_template, render_template_string
from flask_babel import Babel
from werkzeug.test import TestResponse

from lti_app import assets

APP = Path(assets.__file__).parent
WIRE_BUDGET = 150 * 1024  # bytes, first page on a cold cache


def make_app(
    instance: Path, locale: str = "zh_Hans_CN", *, babel_first: bool = False, **folders: Path
) -> Flask:
    """A Flask application with nothing but our templates, assets and translations."""
    app = Flask("lti_app", instance_path=str(instance), root_path=str(APP), static_folder=None)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True  # as create_app does
    app.secret_key = "flash messages need a session"
    steps = [lambda: assets.init_assets(app, **folders), lambda: Babel(app, locale_selector=lambda: locale)]
    for step in reversed(steps) if babel_first else steps:
        step()
    app.add_url_rule("/design", "design", lambda: render_template("design/components.html"))
    app.add_url_rule("/error", "error", lambda: (render_template("errors/error.html"), 400))
    return app


def address(app: Flask, name: str) -> str:
    with app.test_request_context():
        return render_template_string("{{ asset(name) }}", name=name)


def fetch(app: Flask, url: str, encoding: str = "identity") -> TestResponse:
    return app.test_client().get(url, headers={"Accept-Encoding": encoding}, buffered=True)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("app.css", 'text/css; charset="utf-8"'),
        ("bootstrap.min.css", 'text/css; charset="utf-8"'),
        ("js/video.js", 'text/javascript; charset="utf-8"'),
        ("logo.svg", "image/svg+xml"),
    ],
)
def test_files_are_immutable_and_typed(app: Flask, name: str, media_type: str) -> None:
    answer = fetch(app, address(app, name))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == media_type
    assert "immutable" in answer.headers["Cache-Control"]
    assert "public" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_captions_and_modules_have_their_types(tmp_path: Path) -> None:
    static = tmp_path / "static"
    static.mkdir()
    (static / "a.vtt").write_text("WEBVTT\n", "utf-8")
    (static / "b.mjs").write_text("export {};\n", "utf-8")
    app = make_app(tmp_path, static_folder=static)
    types = [fetch(app, address(app, name)).mimetype for name in ("a.vtt", "b.mjs")]
    assert types == ["text/vtt", "text/javascript"]


def test_gzip_only_for_who_accepts_it(app: Flask) -> None:
    url = address(app, "bootstrap.min.css")
    small = fetch(app, url, "gzip")
    plain = fetch(app, url)
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert gzip.decompress(small.data) == plain.data
    assert len(small.data) < len(plain.data) / 4


def test_changed_content_has_a_new_address(tmp_path: Path) -> None:
    static = tmp_path / "static"
    shutil.copytree(APP / "static", static)
    before = make_app(tmp_path, static_folder=static)
    again = make_app(tmp_path, static_folder=static)
    (static / "app.css").write_text("body { margin: 0 }", "utf-8")
    after = make_app(tmp_path, static_folder=static)
    assert address(before, "app.css") == address(again, "app.css")
    assert address(before, "app.css") != address(after, "app.css")
    assert fetch(after, address(after, "app.css")).text == "body { margin: 0 }"
    assert fetch(after, address(before, "app.css")).status_code == 404


def test_addresses_follow_the_mount_point(app: Flask) -> None:
    with app.test_request_context(base_url="https://school.example/gongyu/"):
        assert render_template_string("{{ asset('app.css') }}").startswith("/gongyu/static/")


def test_builders_at_the_same_time_share_one_build(tmp_path: Path) -> None:
    start = Barrier(4)

    def build(_: int) -> str:
        start.wait()
        return address(make_app(tmp_path), "app.css")

    with ThreadPoolExecutor(4) as pool:
        addresses = set(pool.map(build, range(4)))
    assert len(addresses) == 1
    assert len(list((tmp_path / "build").iterdir())) == 1  # and no scratch folder is left


def test_an_instance_that_cannot_be_written_still_serves(tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # a folder below a file cannot be made, not even by root
    app = make_app(tmp_path / "file" / "instance")
    assert fetch(app, address(app, "app.css")).status_code == 200


@pytest.mark.parametrize("babel_first", [False, True])
def test_translations_are_compiled(tmp_path: Path, babel_first: bool) -> None:
    catalogue = tmp_path / "po" / "en" / "LC_MESSAGES" / "messages.po"
    catalogue.parent.mkdir(parents=True)
    head = (APP / "translations" / "en" / "LC_MESSAGES" / "messages.po").read_text("utf-8")
    catalogue.write_text(head.split("\n\n")[0] + '\n\nmsgid "学分银行"\nmsgstr "Credit bank"\n', "utf-8")
    words = []
    for locale in ("en", "zh_Hans_CN"):
        app = make_app(tmp_path, locale, babel_first=babel_first, translations_folder=tmp_path / "po")
        with app.test_request_context():
            words.append(render_template_string("{{ _('学分银行') }}"))
    assert words == ["Credit bank", "学分银行"]


@pytest.mark.parametrize("call", ["icon('no-such-icon')", "icon('../x')", "icon('')", "asset('no-such.css')"])
def test_unknown_names_fail_where_they_are_rendered(app: Flask, call: str) -> None:
    with app.test_request_context(), pytest.raises(LookupError):
        render_template_string("{{ " + call + " }}")


def test_an_icon_is_silent_unless_labelled(app: Flask) -> None:
    with app.test_request_context():
        silent = render_template_string("{{ icon('award') }}")
        spoken = render_template_string("{{ icon('award', label) }}", label='学分 "><script>')
    assert 'aria-hidden="true"' in silent
    assert "<path" in silent
    assert 'viewBox="0 0 16 16"' in silent
    assert 'role="img" aria-label="学分 &#34;&gt;&lt;script&gt;"' in spoken
    assert "aria-hidden" not in spoken


def test_a_page_needs_nothing_in_its_context(app: Flask) -> None:
    page = fetch(app, "/error").text
    assert '<html lang="zh-Hans-CN">' in page
    assert "页面没有打开" in page


def test_no_page_needs_a_weaker_content_security_policy(app: Flask) -> None:
    page = fetch(app, "/design").text
    assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:|<style", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
    assert not re.search(r'(?:src|href)="https?://', page)


def test_the_first_page_is_light(app: Flask) -> None:
    """Everything the page makes a browser load, as sent: the HTML uncompressed, files as gzip."""
    page = fetch(app, "/design")
    urls = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    files = {url: fetch(app, url, "gzip") for url in urls}
    assert {url.rsplit("/", 1)[1] for url in urls} >= {"bootstrap.min.css", "app.css", "frame.js", "logo.svg"}
    assert all(answer.status_code == 200 for answer in files.values())
    assert len(page.data) + sum(len(answer.data) for answer in files.values()) <= WIRE_BUDGET


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


STATES = ("done", "waiting", "error", "info")
TEXT_PAIRS = [
    *[(ink, ground) for ink in ("ink", "ink-soft") for ground in ("paper", "card", "tint")],
    *[(ink, ground) for ink in ("primary", "accent", "error") for ground in ("paper", "card")],
    *[(state, f"{state}-soft") for state in STATES],
    *[("ink", f"{state}-soft") for state in STATES],
    ("primary-strong", "primary-soft"),
    ("accent-strong", "accent-soft"),
    ("card", "primary"),
    ("card", "primary-strong"),
    ("card", "accent"),
    ("card", "accent-strong"),
]


@pytest.fixture(scope="module")
def colours() -> dict[str, str]:
    css = (APP / "static" / "app.css").read_text("utf-8")
    return dict(re.findall(r"--gy-([a-z-]+): (#[0-9a-f]{3,6});", css))


@pytest.mark.parametrize(("ink", "ground"), TEXT_PAIRS)
def test_text_is_readable(colours: dict[str, str], ink: str, ground: str) -> None:
    assert contrast(colours[ink], colours[ground]) >= 4.5


def test_every_button_is_readable_in_every_state() -> None:
    css = (APP / "static" / "app.css").read_text("utf-8")
    colours = dict(re.findall(r"--gy-([a-z-]+): (#[0-9a-f]{3,6});", css))
    blocks = re.findall(r"\.btn-[a-z, .-]+ \{([^}]*--bs-btn-hover-bg[^}]*)\}", css)
    assert len(blocks) >= 6
    for block in blocks:
        values = dict(re.findall(r"--bs-btn-([a-z-]+): ([^;]+);", block))
        solid = {
            key: colours[value[9:-1]] if value.startswith("var(--gy-") else value
            for key, value in values.items()
        }
        for state in ("", "hover-", "active-", "disabled-"):
            if f"{state}color" not in solid:
                continue
            ground = solid[f"{state}bg"]
            ground = colours["tint"] if ground == "transparent" else ground
            assert contrast(solid[f"{state}color"], ground) >= 4.5, (block, state)


@pytest.mark.parametrize("ground", ["paper", "card"])
def test_edges_and_focus_are_visible(colours: dict[str, str], ground: str) -> None:
    for edge in ("edge", "primary", "info", "error"):
        assert contrast(colours[edge], colours[ground]) >= 3
