"""The screenless browser against a small site on two names of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from flask import Flask, jsonify, make_response, redirect, request
from flask.typing import ResponseReturnValue

from tests.platforms.driver import Browser, forms
from tests.platforms.probe_tool import serving_here

HTML = "<!DOCTYPE html><title>x</title>"
FORM_ON_LOAD = '<form id="go" action="{action}" method="post"><input name="state" value="a&amp;b"></form>'


def site() -> Flask:
    app = Flask(__name__)

    @app.get("/set")
    def set_cookies() -> ResponseReturnValue:
        answer = make_response("set")
        for header in (
            "proof=1; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
            "__Host-key=2; Path=/; Secure",
            "plain=3; Path=/",
            "gone=4; Path=/; Max-Age=0",
        ):
            answer.headers.add("Set-Cookie", header)
        return answer

    @app.route("/echo", methods=["GET", "POST"])
    def echo() -> ResponseReturnValue:
        return jsonify(
            method=request.method,
            query=request.args.to_dict(flat=False),
            form=request.form.to_dict(flat=False),
            cookies=dict(request.cookies),
            site=request.headers.get("Sec-Fetch-Site"),
            origin=request.headers.get("Origin"),
        )

    @app.get("/hop")
    def hop() -> ResponseReturnValue:
        return redirect(request.args["to"])

    @app.post("/post-hop/<int:code>")
    def post_hop(code: int) -> ResponseReturnValue:
        return redirect(request.args.get("to", "/echo"), code)

    @app.get("/auto")
    def auto() -> ResponseReturnValue:
        form = FORM_ON_LOAD.format(action=request.args["to"])
        if request.args.get("by") == "onload":
            return f'{HTML}<body onload="document.forms[0].submit()">{form}'
        other = '<form id="search" action="/wrong"><input name="q"></form>'
        return f'{HTML}{other}{form}<script>document.getElementById("go").submit();</script>'

    @app.get("/loop")
    def loop() -> ResponseReturnValue:
        return redirect("/loop")

    @app.get("/page")
    def page() -> ResponseReturnValue:
        return (
            f'{HTML}<form action="/echo" method="post"><input type="hidden" name="hidden" value="h">'
            '<input type="radio" name="r" value="a"><input type="radio" name="r" value="b" checked>'
            '<input type="checkbox" name="c"><input name="off" disabled value="x"><button name="b">x</button>'
            '<input type="submit" name="s" value="x"><textarea name="t">一\n&lt;二</textarea>'
            '<select name="o"><option value="1">1<option value="2" selected>2</select></form>'
        )

    return app


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with serving_here(site()) as url:
        yield url


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


def test_secure_cookies_live_on_loopback_over_http(browser: Browser, origin: str) -> None:
    for host in (origin, origin.replace("127.0.0.1", "localhost")):
        browser.open(f"{host}/set")
        assert browser.open(f"{host}/echo").json()["cookies"] == {
            "proof": "1",
            "__Host-key": "2",
            "plain": "3",
        }


def test_cookies_belong_to_one_host(browser: Browser, origin: str) -> None:
    browser.open(f"{origin}/set")
    other = origin.replace("127.0.0.1", "localhost")
    assert browser.open(f"{origin}/hop?to={other}/echo").json()["cookies"] == {}


def test_secure_cookie_is_not_sent_over_plain_http_elsewhere(browser: Browser, origin: str) -> None:
    # The request goes through this site as a proxy: a foreign host name without a name server.
    browser.session.trust_env = False
    browser.session.proxies = {"http": origin}
    browser.open("http://lms.example/set")
    assert browser.open("http://lms.example/echo").json()["cookies"] == {"plain": "3"}


@pytest.mark.parametrize("by", ["script", "onload"])
def test_auto_submitting_form_is_sent(browser: Browser, origin: str, by: str) -> None:
    page = browser.open(f"{origin}/hop?to=/auto?to%3D/echo%26by%3D{by}")
    assert (page.json()["method"], page.json()["form"]) == ("POST", {"state": ["a&b"]})
    assert [(step.method, step.response.status_code) for step in browser.steps] == [
        ("GET", 302),
        ("GET", 200),
        ("POST", 200),
    ]


def test_form_without_script_waits_for_the_visitor(browser: Browser, origin: str) -> None:
    page = browser.open(f"{origin}/page")
    assert page.url == f"{origin}/page"
    (form,) = forms(page)
    assert form.fields == [("hidden", "h"), ("r", "b"), ("t", "一\n<二"), ("o", "2")]
    sent = browser.submit(form, {"r": "a", "c": ["x", "y"]}).json()
    assert sent["form"] == {"hidden": ["h"], "r": ["a"], "c": ["x", "y"], "t": ["一\n<二"], "o": ["2"]}
    assert (sent["site"], sent["origin"]) == ("same-origin", origin)


@pytest.mark.parametrize(("code", "method"), [(302, "GET"), (303, "GET"), (307, "POST")])
def test_post_after_a_redirect(browser: Browser, origin: str, code: int, method: str) -> None:
    page = browser.open(f"{origin}/auto?to=/post-hop/{code}")
    assert page.json()["method"] == method
    assert bool(page.json()["form"]) == (method == "POST")
    assert page.json()["query"] == {}


def test_origin_is_hidden_once_a_foreign_site_redirects_a_post(browser: Browser, origin: str) -> None:
    other = origin.replace("127.0.0.1", "localhost")
    own = browser.open(f"{origin}/auto?to=/post-hop/307?to%3D{other}/echo")
    foreign = browser.open(f"{origin}/auto?to={other}/post-hop/307?to%3D{origin}/echo")
    assert [page.json()["origin"] for page in (own, foreign)] == [origin, "null"]


def test_fetch_metadata_tells_where_a_request_comes_from(browser: Browser, origin: str) -> None:
    other = origin.replace("127.0.0.1", "localhost")
    typed = browser.open(f"{origin}/echo").json()
    posted = browser.open(f"{origin}/auto?to={other}/echo").json()
    linked = browser.open(f"{origin}/hop?to={other}/echo", source=f"{origin}/page").json()
    assert (typed["site"], typed["origin"]) == ("none", None)
    assert (posted["site"], posted["origin"]) == ("cross-site", origin)
    assert (linked["site"], linked["origin"]) == ("cross-site", None)


def test_redirects_without_end_are_an_error(browser: Browser, origin: str) -> None:
    with pytest.raises(RuntimeError, match="redirects without end"):
        browser.open(f"{origin}/loop")


def test_missing_launch_step_names_what_was_seen(browser: Browser, origin: str) -> None:
    launched = browser.launch(f"{origin}/echo")
    assert isinstance(launched.page, requests.Response)
    with pytest.raises(LookupError, match="GET .*/echo 200"):
        _ = launched.claims
