"""`flask platforms`, `flask keys` and `flask people`: an operator connects an LMS by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import func, select

from lti_app import create_app
from lti_app.config import BadSettings, read_settings
from lti_app.extensions import db
from lti_app.registrations.keys import ToolKeyLocked, signing_key
from lti_app.registrations.models import Deployment, Registration, ToolKey
from tests.browsing import BASE, Visitor
from tests.conftest import run, settings_for
from tests.fake_platform import FakePlatform

MOODLE = [
    "--kind",
    "moodle",
    "--url",
    "https://moodle.school.cn/",
    "--client-id",
    "abc",
    "--deployment-id",
    "1",
]


def registration(app: Flask, name: str) -> Registration:
    with app.app_context():
        return db.session.scalars(select(Registration).where(Registration.name == name)).one()


def test_a_moodle_needs_only_its_address(app: Flask) -> None:
    assert "added: moodle.school.cn" in run(app, "platforms", "add", *MOODLE)
    row = registration(app, "moodle.school.cn")
    assert row.issuer == "https://moodle.school.cn"
    assert row.auth_url == "https://moodle.school.cn/mod/lti/auth.php"
    assert row.token_url == row.token_audience == "https://moodle.school.cn/mod/lti/token.php"
    assert row.jwks_url == "https://moodle.school.cn/mod/lti/certs.php"
    assert row.frame_origins == ["https://moodle.school.cn"]
    assert "moodle.school.cn\tmoodle\tactive" in run(app, "platforms", "list")


def test_a_hosted_canvas_needs_only_its_address_and_shares_an_issuer(app: Flask) -> None:
    for school in ("one", "two"):
        arguments = ["--kind", "canvas", "--url", f"https://{school}.instructure.com"]
        run(app, "platforms", "add", *arguments, "--client-id", f"id-{school}", "--deployment-id", "1:a")
    one, two = registration(app, "one.instructure.com"), registration(app, "two.instructure.com")
    assert one.issuer == two.issuer == "https://canvas.instructure.com"
    assert one.token_url == "https://one.instructure.com/login/oauth2/token"


def test_another_canvas_needs_its_issuer(app: Flask) -> None:
    arguments = [
        "--kind",
        "canvas",
        "--url",
        "https://lms.school.cn",
        "--client-id",
        "1",
        "--deployment-id",
        "1:a",
    ]
    assert "--issuer" in run(app, "platforms", "add", *arguments, exit_code=1)
    run(app, "platforms", "add", *arguments, "--issuer", "https://lms.school.cn")


def test_one_issuer_and_client_id_with_another_key_set_is_refused_with_advice(app: Flask) -> None:
    def add(host: str, exit_code: int = 0) -> str:
        arguments = [
            "--kind",
            "canvas",
            "--url",
            f"https://{host}",
            "--issuer",
            "https://canvas.instructure.com",
        ]
        return run(
            app,
            "platforms",
            "add",
            *arguments,
            "--client-id",
            "1",
            "--deployment-id",
            "1:a",
            exit_code=exit_code,
        )

    add("lms.a-school.cn")
    refusal = add("lms.b-school.cn", exit_code=1)
    assert "lti_iss" in refusal
    assert "--issuer" in refusal


def test_adding_the_same_twice_changes_nothing(app: Flask) -> None:
    run(app, "platforms", "add", *MOODLE)
    assert "unchanged" in run(app, "platforms", "add", *MOODLE)
    other = [*MOODLE[:-1], "2"]
    assert "added" in run(app, "platforms", "add", *other)
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Deployment)) == 3  # and the fixture's


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--kind", "moodle", "--url", "http://moodle.school.cn"], "--allow-http"),
        (["--kind", "moodle", "--url", "moodle.school.cn"], "http"),
        (
            ["--kind", "moodle", "--url", "https://m.cn", "--frame-origin", "https://m.cn/path"],
            "--frame-origin",
        ),
        (["--kind", "moodle", "--url", "https://m.cn", "--frame-origin", "*"], "--frame-origin"),
        (["--kind", "moodle", "--url", "https://m.cn", "--time-zone", "Mars/Base"], "time zone"),
        (["--kind", "generic", "--url", "https://m.cn"], "--auth-url"),
    ],
)
def test_a_wrong_registration_is_refused_with_the_reason(
    lite_app: Flask, arguments: list[str], reason: str
) -> None:
    ids = ["--client-id", "x", "--deployment-id", "1"]
    assert reason in run(lite_app, "platforms", "add", *arguments, *ids, exit_code=1)
    with lite_app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Registration)) == 1  # the fixture's


def test_changed_addresses_of_a_known_registration_are_refused(app: Flask) -> None:
    run(app, "platforms", "add", *MOODLE)
    changed = [*MOODLE, "--token-url", "https://elsewhere.cn/token"]
    assert "token_url" in run(app, "platforms", "add", *changed, exit_code=1)
    assert registration(app, "moodle.school.cn").token_url.startswith("https://moodle.school.cn")


def test_disabling_is_undone_by_enabling(app: Flask, visit: Visitor) -> None:
    assert "disabled" in run(app, "platforms", "disable", "lms.test")
    assert "unchanged" in run(app, "platforms", "disable", "lms.test")
    run(app, "platforms", "enable", "lms.test")
    assert visit("teacher").status == 200
    assert "no platform" in run(app, "platforms", "disable", "unknown", exit_code=1)


def test_keys_are_useless_without_the_secret(sqlite_url: str, tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path, sqlite_url))
    run(app, "keys", "ensure")
    with app.app_context():
        assert b"PRIVATE" not in db.session.scalars(select(ToolKey)).one().private_key_encrypted
    stranger = create_app(
        settings_for(tmp_path, sqlite_url, key_encryption_key=Fernet.generate_key().decode())
    )
    with stranger.app_context(), pytest.raises(ToolKeyLocked, match="GONGYU_KEY_ENCRYPTION_KEY"):
        signing_key()


def test_rights_are_given_and_taken(app: Flask, visit: Visitor) -> None:
    visit("teacher")
    login = run(app, "people", "find", "王老师").split("\t")[0]
    assert "granted" in run(app, "people", "grant", login, "school_admin", "--by", "区教委")
    assert "unchanged" in run(app, "people", "grant", login, "school_admin")
    assert "school_admin\tby 区教委" in run(app, "people", "list")
    assert "revoked" in run(app, "people", "revoke", login, "school_admin")
    assert run(app, "people", "list") == ""
    assert "no login" in run(app, "people", "grant", "999", "district", exit_code=1)
    assert "nobody" in run(app, "people", "find", "没有这个人", exit_code=1)


def test_several_client_ids_on_one_issuer_work(lite_app: Flask, platform: FakePlatform) -> None:
    first_visitor = Visitor(lite_app, platform)
    platform_two = FakePlatform()
    platform_two.client_id = "second-client"
    arguments = [a if a != "lms.test" else "lms.test-second" for a in platform_two.add_arguments]
    run(lite_app, "platforms", "add", *arguments)
    assert first_visitor("teacher").status == 200
    assert Visitor(lite_app, platform_two)("teacher").status == 200
    # Without a client id nobody can tell which of the two is meant.
    parameters = platform.login_parameters("teacher", "demo")
    del parameters["client_id"]
    answer = lite_app.test_client().post("/lti/login", data=parameters, base_url=BASE)
    assert "GY-LAUNCH-UNKNOWN-PLATFORM" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"GONGYU_SECRET_KEY": ""}, "SECRET_KEY"),
        ({"GONGYU_KEY_ENCRYPTION_KEY": "short"}, "KEY_ENCRYPTION_KEY"),
        ({"GONGYU_PUBLIC_URL": "tool.school.cn"}, "PUBLIC_URL"),
        ({"GONGYU_PUBLIC_URL": "https://tool.school.cn/path"}, "PUBLIC_URL"),
        ({"GONGYU_DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"GONGYU_WORKER": "threads"}, "WORKER"),
        ({"GONGYU_TRUSTED_PROXIES": "many"}, "TRUSTED_PROXIES"),
        ({"GONGYU_LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ({"GONGYU_CA_FILE": "nowhere.pem"}, "CA_FILE"),
    ],
)
def test_a_missing_or_bad_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], named: str
) -> None:
    monkeypatch.setenv("GONGYU_SECRET_KEY", "long-enough-for-a-secret")
    monkeypatch.setenv("GONGYU_KEY_ENCRYPTION_KEY", Fernet.generate_key().decode())
    read_settings()
    for name, value in changes.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(BadSettings, match=named):
        read_settings()
