"""The pages between an LMS and a launch: by what the browser can prove that the launch is its own, and what
to do where it can by nothing."""

from __future__ import annotations

from typing import Any

from flask import make_response, render_template, request, url_for
from flask_babel import lazy_gettext
from sqlalchemy import Row

from lti_app.launches.cookies import state_cookie
from lti_app.security import origin_of

# By a mark in the browser's name of itself; the first that fits, as all of them claim to be older ones too.
_MARKS = (
    ("micromessenger", "wechat"),
    ("edg", "edge"),
    ("firefox", "firefox"),
    ("fxios", "firefox"),
    ("chrome", "chrome"),
    ("crios", "chrome"),
    ("safari", "safari"),
)
SETTINGS = {
    "wechat": (
        lazy_gettext("微信"),
        lazy_gettext("点右上角的“…”，选“在浏览器打开”（或“在默认浏览器中打开”），再登录学校平台。"),
    ),
    "chrome": (
        "Chrome",
        lazy_gettext(
            "打开“设置 → 隐私和安全 → 网站设置”，在“第三方 Cookie”里选“允许”，"
            "在“设备端网站数据”里选“允许网站在您的设备上保存数据”。"
        ),
    ),
    "edge": (
        "Edge",
        lazy_gettext(
            "打开“设置 → Cookie 和网站权限 → 管理和删除 Cookie 和站点数据”，打开“允许站点保存和读取 Cookie 数据”。"
        ),
    ),
    "safari": (
        "Safari",
        lazy_gettext(
            "iPhone、iPad：打开“设置 → Safari 浏览器 → 高级”，关闭“阻止所有 Cookie”。"
            "Mac：打开“Safari 浏览器 → 设置 → 高级”，取消“阻止所有 Cookie”。"
        ),
    ),
    "firefox": (
        "Firefox",
        lazy_gettext(
            "打开“设置 → 隐私与安全 → 增强型跟踪保护”，选“标准”；如果用“自定义”，不要拦截“所有 Cookie”。"
        ),
    ),
    "other": (
        lazy_gettext("其他浏览器"),
        lazy_gettext("在浏览器的设置里找“Cookie”或“隐私”，选择允许；如果开着无痕浏览，请先关闭。"),
    ),
}


def carry(state: str, secret: str, target: str, address: str, checked: str) -> str:
    """The page that tests the cookie, else gives the secret to the platform's storage, and goes on to the
    platform's `address`; when neither keeps it, to our `checked`. The secret is for its script alone."""
    return render_template(
        "launches/carry.html",
        storage=_storage(state, target, address),
        secret=secret,
        address=address,
        checked=checked,
    )


def recall(values: dict[str, Any], login: Row[Any]) -> str:
    """The page that gets the secret back from the platform's storage and posts the launch with it."""
    target = values["lti_storage_target"] or login.storage_target
    return render_template(
        "launches/recall.html",
        storage=_storage(values["state"], target, login.parameters["authorization_url"]),
        values=values,
        **_settings(),
    )


def without_cookies(parameters: dict[str, Any]) -> Any:
    """Inside a frame: the offer of a new tab, where cookies are the site's own. In a tab, where they were
    refused as well: which setting to change."""
    # Old browsers do not say where the page will be shown; then our own link has said it.
    shown_in = request.headers.get("Sec-Fetch-Dest", "document" if "tab" in request.args else "")
    again = url_for("lti.login", gongyu_tab=1, **parameters)
    if shown_in != "document":
        return render_template("launches/new_tab.html", again=again)
    return make_response(render_template("launches/no_cookies.html", again=again, **_settings()), 401)


def _storage(state: str, target: str, authorization_url: str) -> dict[str, str]:
    """Where the script finds the platform's storage: its frame, the only origin that may hear the secret
    (that of the OIDC authorization address), and our key there."""
    return {"target": target, "origin": origin_of(authorization_url), "key": state_cookie(state)}


def _settings() -> dict[str, Any]:
    """What to change in this browser, and in the others."""
    itself = (request.user_agent.string or "").lower()
    mine = next((name for mark, name in _MARKS if mark in itself), "other")
    return {
        "mine": SETTINGS[mine],
        "others": [setting for name, setting in SETTINGS.items() if name != mine],
    }
