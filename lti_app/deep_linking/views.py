"""The picker: a teacher chooses courses inside the LMS, and the LMS gets links to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask_babel import gettext

from lti_app.clock import utc_now
from lti_app.courses import queries as catalogue
from lti_app.courses.labels import audience_words, facts, kind_words, stage_words, stages_text
from lti_app.courses.learning import with_pictures
from lti_app.courses.models import ContentItem, Course, LessonKind
from lti_app.deep_linking import basket, queries, services, words
from lti_app.deep_linking.asked import Asked, asked
from lti_app.deep_linking.filters import filters
from lti_app.deep_linking.models import PickedCourse
from lti_app.deep_linking.schemas import ChoiceForm
from lti_app.errors import NotHere
from lti_app.extensions import db
from lti_app.security import allow_posting_to

bp = Blueprint("deep_linking", __name__)


@bp.get("/pick")
def picker() -> Any:
    """Where a deep linking launch begins: the catalogue with its filters, and what is chosen so far."""
    ask = asked()
    if not ask.rules.links:
        return render_template("deep_linking/unsupported.html", ask=ask)
    if queries.answer_of(ask.launch.id) is not None:
        return redirect(url_for("deep_linking.sent"))
    chosen = filters()
    page = min(max(1, request.args.get("page", 1, type=int)), 100_000)
    search = (chosen.words, chosen.stage, chosen.kind)
    narrow: dict[str, Any] = {
        "theme": chosen.theme,
        "audience": chosen.audience,
        "hours": chosen.hours_range,
    }
    facets = catalogue.facets(*search, **narrow)
    return render_template(
        "deep_linking/picker.html",
        ask=ask,
        found=catalogue.catalogue(*search, page, **narrow, total=facets.total),
        facets=facets,
        picks=queries.picks(ask.launch.id),
        chosen=chosen,
        shown=chosen.shown,
        stages=stage_words(),
        kinds=kind_words(),
        audiences=audience_words(),
        hours=words.hours_choices(),
        stages_text=stages_text,
        about=words.before(ask.rules.hints),
        is_full=request.args.get("full") == "1",
        most=services.MOST_PICKS,
        wide=True,
    )


@bp.get("/pick/courses/<slug>")
def preview(slug: str) -> Any:
    """One course before it is chosen: what is in it and what it brings."""
    ask, course = asked(), _published(slug)
    return render_template(
        "deep_linking/course.html",
        ask=ask,
        course=course,
        path=catalogue.path_of(course, None),
        facts=facts(course, with_credits=True),
        audience=audience_words()[course.audience],
        picked=any(pick.course_id == course.id for pick in queries.picks(ask.launch.id)),
        shown=filters().shown,
    )


@bp.get("/pick/courses/<slug>/<lesson_slug>")
def lesson(slug: str, lesson_slug: str) -> Any:
    """A lesson to read before the course is chosen; the answers of a quiz are not in it."""
    asked()
    course = _published(slug)
    path = catalogue.path_of(course, None)
    step = next((step for step in path.steps if step.lesson.slug == lesson_slug), None)
    if step is None:
        raise NotHere()
    files = catalogue.media_of(course.id)
    body, captions = catalogue.content_of(step.lesson.id)
    quiz = step.lesson.kind is LessonKind.QUIZ
    return render_template(
        "deep_linking/lesson.html",
        course=course,
        path=path,
        step=step,
        body=with_pictures(body, files),
        captions=captions,
        files={file.id: file for file in files},
        questions=catalogue.questions_of(step.lesson.id) if quiz else [],
        shown=filters().shown,
    )


@bp.post("/pick/courses")
def choose() -> Any:
    """Put a course into the basket, or take it out, and go on where the teacher was."""
    ask = asked()
    values = ChoiceForm().load(request.form.to_dict())
    course = _published(values["course"])
    if not ask.rules.links or queries.answer_of(ask.launch.id) is not None:
        return redirect(url_for("deep_linking.picker"), 303)
    back: dict[str, Any] = {**filters().shown, "page": request.args.get("page", 1, type=int)}
    if values["action"] == "remove":
        services.remove(ask, course.id)
    else:
        try:
            services.add(ask, course)
        except services.BasketFull:
            return redirect(url_for("deep_linking.picker", **back, full=1), 303)
    db.session.commit()
    if values["action"] == "add" and not ask.rules.multiple:
        return redirect(url_for("deep_linking.show_basket"), 303)
    return redirect(url_for("deep_linking.picker", **back, _anchor=f"course-{course.slug}"), 303)


@bp.get("/pick/basket")
def show_basket() -> Any:
    """What is chosen: its order, what each counts for, its dates."""
    ask = asked()
    if queries.answer_of(ask.launch.id) is not None:
        return redirect(url_for("deep_linking.sent"))
    return basket.page(ask, queries.picks(ask.launch.id))


@bp.post("/pick/basket")
def change_basket() -> Any:
    """Save the settings of all picks, then do what the pressed button says."""
    ask = asked()
    if queries.answer_of(ask.launch.id) is not None:
        return redirect(url_for("deep_linking.sent"), 303)
    picks = queries.picks(ask.launch.id)
    action, pick_id = basket.pressed(request.form.get("action", ""))
    dropped = pick_id if action == "drop" else None
    problems = basket.save(ask, [pick for pick in picks if pick.id != dropped], request.form)
    if problems or (action == "send" and not picks):
        trouble = "" if problems else gettext("还没有选课程。")
        return basket.page(ask, picks, request.form, problems, trouble), 422
    if action == "send":
        return _answer(ask, picks)
    if action == "drop":
        services.remove(ask, next((pick.course_id for pick in picks if pick.id == pick_id), 0))
    elif action in ("up", "down"):
        services.reorder(picks, pick_id, -1 if action == "up" else 1)
    db.session.commit()
    if action == "more":
        return redirect(url_for("deep_linking.picker"), 303)
    return redirect(url_for("deep_linking.show_basket", _anchor=f"pick-{pick_id}" if pick_id else None), 303)


@bp.get("/pick/sent")
def sent() -> Any:
    """Just after the answer was made: the page that lets the browser post it to the platform, which knows
    only the browser. Later: with what the request was answered, and what to do when it is not there.

    With `?again=1` the same answer once more, where the platform takes it: nothing new is made.
    """
    ask = asked()
    given = queries.answer_of(ask.launch.id)
    if given is None:
        return redirect(url_for("deep_linking.picker"))
    items = queries.items_of(ask.launch.id)
    again = ask.platform.answer_is_repeatable and request.args.get("again") == "1"
    if again or utc_now() - given.answered_at < services.ON_ITS_WAY:
        return _posting_page(ask, items)
    return render_template(
        "deep_linking/sent.html",
        ask=ask,
        items=items,
        todo=words.afterwards(ask.rules.hints),
        counts=dict(words.counts_choices()),
    )


@bp.get("/pick/cancel")
def ask_cancel() -> Any:
    """Say that nothing will be added: most platforms show nothing at all when they are told so."""
    ask = asked()
    if queries.answer_of(ask.launch.id) is not None:
        return redirect(url_for("deep_linking.sent"))
    return render_template(
        "deep_linking/cancel.html", ask=ask, picks=queries.picks(ask.launch.id) if ask.rules.links else []
    )


@bp.post("/pick/cancel")
def cancel() -> Any:
    """Go back to the platform with nothing."""
    ask = asked()
    if not ask.platform.takes_empty_answer:
        return redirect(url_for("deep_linking.ask_cancel"), 303)
    return _answer(ask, [])


def _answer(ask: Asked, picks: Sequence[PickedCourse]) -> Any:
    """Answer, if nobody has yet: a second press, or another tab, finds what the first one decided."""
    services.answer(ask, picks)
    db.session.commit()
    return redirect(url_for("deep_linking.sent"), 303)


def _posting_page(ask: Asked, items: Sequence[ContentItem]) -> str:
    said = gettext("已选 %(number)s 门课程。", number=len(items)) if items else gettext("没有添加课程。")
    url = current_app.config["SETTINGS"].public_url + url_for("lti.launch")
    allow_posting_to(ask.origin)
    return render_template(
        "deep_linking/send.html",
        address=ask.said.return_url,
        token=services.message(ask, items, url=url, collection=gettext("家长微课"), said=said),
        titles=[item.course.title for item in items],
        todo=words.afterwards(ask.rules.hints) if items else [],
    )


def _published(slug: str) -> Course:
    course = catalogue.course_by_slug(slug) if slug.isascii() and slug.isprintable() else None
    if course is None:
        raise NotHere()
    return course
