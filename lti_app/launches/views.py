"""The addresses an LMS knows (`/lti/login`, `/lti/launch`), and the pages every launch has."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from flask import (
    Blueprint,
    current_app,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext
from marshmallow import ValidationError

from integrations.terms import CourseRole, Launch
from lti_app.errors import LaunchRefused
from lti_app.extensions import db, writes
from lti_app.launches import cookies, pages, services
from lti_app.launches.current import CHINESE, COOKIE, ENGLISH, current_launch, first_page
from lti_app.launches.pylti import Login, StrictLaunch
from lti_app.launches.refusals import refused
from lti_app.launches.schemas import LanguageSchema, LaunchSchema, LoginSchema, StoredLaunchSchema, WhoSchema
from lti_app.registrations.models import Registration
from lti_app.registrations.services import known_frame_origins
from lti_app.roster.guardians import record_guardianships
from lti_app.roster.models import Audience, Person
from lti_app.roster.services import (
    family_of,
    person_by_audience,
    person_here,
    person_of,
    record_arrival,
    state_kind,
)
from lti_app.security import allow_framing, cross_site

lti_bp = Blueprint("lti", __name__)
inside_bp = Blueprint("launches", __name__)

MAX_FAMILY = 12
# Made once: marshmallow takes longer to make a schema than to use it.
_LOGIN, _LAUNCH, _STORED = LoginSchema(), LaunchSchema(), StoredLaunchSchema()


@lti_bp.before_request
def framable() -> None:
    """Until a launch is known, any connected LMS may frame what we answer."""
    allow_framing(known_frame_origins())


@lti_bp.route("/login", methods=["GET", "POST"])
@cross_site
@writes
def login() -> Any:
    """Begin a launch (OIDC third-party-initiated login), by GET or POST.

    Unless the browser already showed that it keeps our cookies here, that is tested before the platform's
    single-use hint is spent: the next address looks whether the state cookie came back. Where the platform
    keeps data for tools, a page of ours asks that address first and the platform then: only this answer, once,
    holds the secret.
    """
    parameters = _loaded(_LOGIN)
    target = parameters.pop("lti_storage_target", None)
    in_tab = parameters.pop("gongyu_tab", None) is not None
    attempt = Login(parameters)
    address, state, nonce = attempt.authorization_url(_public("lti.launch"))
    registration = attempt.conf.registration
    assert registration is not None
    secret = secrets.token_urlsafe(24)
    services.begin_login(
        registration,
        state=state,
        nonce=nonce,
        secret=secret,
        authorization_url=address,
        parameters=parameters,
        storage_target=target,
    )
    db.session.commit()
    answer: Any
    proven = cookies.PROOF_COOKIE in request.cookies
    checked = url_for("lti.login_checked", state=state, tab=1 if in_tab else None)
    if target and not proven:
        answer = make_response(pages.carry(state, secret, target, address, checked))
    else:
        answer = redirect(address if proven else checked)
    life = int(services.LOGIN_LIFE.total_seconds())
    cookies.set_cookie(answer, cookies.state_cookie(state), secret, "/lti", life)
    return answer


@lti_bp.get("/login/<state>")
def login_checked(state: str) -> Any:
    """Go on to the platform if the browser kept the cookie; else offer a new tab, where it will. To our own
    script: only say whether it was kept."""
    login = services.find_login(state)
    if login is None:
        raise refused("used")
    answer: Any
    kept = cookies.shows_secret(state, login.browser_hash)
    if request.accept_mimetypes.best == "application/json":
        answer = jsonify(kept=kept)
    elif kept:
        answer = redirect(login.parameters["authorization_url"])
    else:
        return pages.without_cookies(login.parameters["login"])
    if kept:
        cookies.note_cookies_work(answer)
    return answer


@lti_bp.post("/launch")
@cross_site
def launch() -> Any:
    """Take the platform's answer to a login: open a session and go to its first page, or say why not.

    Without our cookie, but with a platform that keeps data for tools, nothing is taken yet: a page of ours
    gets the proof out of the platform's storage and comes back with it.
    """
    values = _loaded(_LAUNCH)
    if not cookies.brings_cookie(values["state"]):
        login = services.find_login(values["state"])
        db.session.close()  # whoever writes must not wait for our page
        if login is not None and login.storage_target:
            return pages.recall(values, login)
    return _answer(values, None)


@lti_bp.post("/launch/stored")
def launch_stored() -> Any:
    """The same launch from our own page, with the proof. That it is our page is what keeps others from handing
    somebody a login of theirs: unlike the address for platforms, this one refuses posts of other sites."""
    values = _loaded(_STORED)
    return _answer(values, values["storage_proof"])


@lti_bp.get("/launch")
@lti_bp.get("/launch/stored")
def launch_by_hand() -> Any:
    """Somebody reloaded or bookmarked the launch address."""
    raise refused("used")


def _answer(values: dict[str, Any], proof: str | None) -> Any:
    """The one verified path, whatever carried the proof: a cookie, or the platform's storage (`proof`)."""
    login = services.take_login(values["state"])
    registration = services.registration_of(login) if login else None
    db.session.expunge_all()  # what was read stays usable
    # Spent, whatever comes next. And nobody's writing waits while we verify: the platform may first have to
    # be asked for its keys.
    db.session.commit()
    if login is None:
        raise refused("used")
    if registration is None:
        raise refused("unknown-platform")
    allow_framing(registration.frame_origins)
    with_cookie = cookies.shows_secret(login.state, login.browser_hash)
    stored = proof is not None and bool(login.storage_target) and cookies.is_secret(proof, login.browser_hash)
    if not with_cookie and not stored:
        raise refused("other-browser")
    if values["error"]:
        raise refused("login-required" if values["error"] == "login_required" else "platform-error")
    try:
        message, deployment = StrictLaunch(request, login, registration, values["id_token"]).verified()
    except LaunchRefused as error:
        if error.leaves_note:
            db.session.commit()
        db.session.close()  # the page that says why must not hold SQLite's write lock
        return _refusal(error, login.state)
    opened = _open(message, registration, deployment, with_cookie=with_cookie)
    db.session.commit()
    g.launch_key = opened.key
    first = first_page(message.message_type, message.roles.course_role, message.roles.is_administrator)
    answer = redirect(url_for(first, key=opened.key), 303)
    cookies.forget_login(answer, login.state)
    bind(answer, opened)
    return answer


@inside_bp.route("/who", methods=["GET", "POST"])
@writes
def who() -> Any:
    """Ask who is here: once in a class whose audience is not set, and whenever a family shares a login."""
    current = current_launch()
    user, context = current.lti_user, current.context
    if user is None or context is None or current.is_test_user or current.role is not CourseRole.LEARNER:
        return redirect(url_for("courses.home"))
    families = context.audience is Audience.FAMILIES
    if current.person_id is None and context.audience is not None and not families:
        # The teacher has said it since this launch began.
        current.person = person_by_audience(user, context.audience)
        services.find_child(current)
        db.session.commit()
    if not families and current.person_id is not None:
        return redirect(url_for("courses.home"))  # the teacher has said it, or this login has, once
    family = family_of(user) if families else []
    if request.method == "GET":
        return render_template("launches/who.html", families=families, family=family, problem=None)
    chosen = _chosen(family)
    if chosen is None:
        problem = gettext("请先选一位，或写下称呼并选择身份。") if families else gettext("请先选择一项。")
        if len(family) >= MAX_FAMILY:
            problem = gettext("这个账号的家人已经够多了，请从上面选一位。")
        return render_template("launches/who.html", families=families, family=family, problem=problem), 422
    current.person = chosen
    services.find_child(current)
    db.session.commit()
    return redirect(url_for("courses.home"), 303)


@inside_bp.post("/language")
def set_language() -> Any:
    """Show this launch's pages in the other language and go back to the page."""
    values = LanguageSchema().load(request.form.to_dict())
    current_launch().locale = CHINESE if values["locale"] == "zh" else ENGLISH
    db.session.commit()
    home = url_for("courses.home")
    # Only back to a page of the same launch: `next` comes from outside.
    own = values["next"].startswith(home) and values["next"].isprintable()
    return redirect(values["next"] if own else home, 303)


def _chosen(family: Sequence[Person]) -> Person | None:
    """The person that the form names, made when new; None when it names nobody."""
    try:
        values = WhoSchema().load(request.form.to_dict())
    except ValidationError:
        return None
    current = current_launch()
    assert current.lti_user is not None
    assert current.context is not None
    user = current.lti_user
    if current.context.audience is not Audience.FAMILIES:
        return state_kind(user, current.context, values["kind"]) if values["kind"] else None
    person = next((p for p in family if p.id == values["person"]), None)
    label = values["label"].strip()
    if person is None and values["kind"] and label and len(family) < MAX_FAMILY:
        person = person_of(user, values["kind"], label)
    if person is not None:
        user.last_person_id = person.id
    return person


def _open(
    message: Launch, registration: Registration, deployment: Any, *, with_cookie: bool
) -> services.OpenedSession:
    arrival = record_arrival(message, registration, deployment)
    person = None
    if arrival.user is not None:
        person = person_here(arrival.user, arrival.membership, arrival.context)
        if person is not None and message.roles.course_role is CourseRole.MENTOR:
            assert arrival.context is not None  # a Mentor is one of some class
            record_guardianships(message, person, registration, arrival.context)
    return services.open_session(message, registration, deployment, arrival, person, with_cookie=with_cookie)


def _loaded(schema: Any) -> dict[str, Any]:
    source = request.args if request.method == "GET" else request.form
    try:
        values: dict[str, Any] = schema.load(source.to_dict())
    except ValidationError as error:
        raise refused("login-incomplete") from error
    return values


def bind(answer: Any, opened: services.OpenedSession) -> None:
    """Give the browser the cookie without which the new session's address opens nothing, if it takes any."""
    if opened.secret is not None:
        life = int(services.SESSION_LIFE.total_seconds())
        cookies.set_cookie(answer, COOKIE, opened.secret, f"/l/{opened.key}", life)


def _refusal(error: LaunchRefused, state: str) -> Any:
    answer = current_app.ensure_sync(current_app.handle_user_exception)(error)
    cookies.forget_login(answer, state)
    return answer


def _public(endpoint: str) -> str:
    """Our address as platforms know it: exactly the registered redirect URI."""
    return current_app.config["SETTINGS"].public_url + url_for(endpoint)
