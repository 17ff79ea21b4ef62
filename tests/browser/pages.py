"""People in front of a real browser: they open links of the sandbox school and walk through a course.

A `View` is wherever the tool is shown: the LMS's iframe, or a whole tab.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
import yaml
from playwright.sync_api import Frame, Locator, Page, expect

from tests.platforms.live_tool import DEMO, LiveTool

View = Page | Frame
SECONDS = 20
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class School:
    """The sandbox LMS at `url` and the tool that it frames, two sites for a browser."""

    url: str
    tool: LiveTool

    def state(self) -> Any:
        """All that the LMS knows, as JSON."""
        return requests.get(f"{self.url}/state", timeout=SECONDS).json()

    def posts(self, person: str | None = None) -> list[Any]:
        """The scores that the LMS was sent, of one person or of all."""
        return [p for p in self.state()["posts"] if person in (None, p["body"]["userId"])]

    def grade(self, person: str, link: str) -> float | None:
        """Points in the LMS's gradebook; None for an empty cell."""
        cells = self.state()["gradebook"]
        found = [c for c in cells if c["user"] == person and c["line_item"].endswith(f"/{link}")]
        return found[0]["score_given"] if found else None

    def switch(self, **wishes: Any) -> None:
        """Break or repair the LMS."""
        requests.post(f"{self.url}/switches", json=wishes, timeout=SECONDS).raise_for_status()


def course_of(link: str) -> str:
    return "grade-1" if link.startswith("g1") else "grade-7"


def open_framed(page: Page, school: School, link: str, person: str, course: str | None = None) -> Frame:
    """Open a link on the LMS's course page as `person`; the tool in its iframe, arrived."""
    page.goto(f"{school.url}/courses/{course or course_of(link)}?as={person}")
    press(page.locator(f"#{link} summary"))
    frame = framed(page.locator(f"#{link} iframe"))
    arrived(frame)
    return frame


def framed(place: Locator) -> Frame:
    """What an iframe of the LMS shows."""
    frame = place.element_handle().content_frame()
    assert frame is not None
    return frame


def open_alone(page: Page, school: School, link: str, person: str, **query: str) -> Page:
    """Open a link in the whole tab, as phones and "new window" do."""
    wishes = "".join(f"&{name}={value}" for name, value in query.items())
    page.goto(f"{school.url}/launch/{link}?as={person}&target=window{wishes}")
    arrived(page)
    return page


def arrived(view: View) -> None:
    """Wait until the launch has brought its first page."""
    view.wait_for_url(re.compile(r"/l/[\w-]+/"))
    expect(view.locator("h1")).to_be_attached()


def root_of(view: View) -> str:
    """The launch's address, http://host/l/<key>."""
    found = re.match(r".*?/l/[^/]+", view.url)
    assert found, f"not a page of a launch: {view.url}"
    return found.group(0)


def visit(view: View, path: str) -> None:
    """Open a page of the view's launch by its address, as a bookmark would."""
    view.goto(root_of(view) + path)


DRAWN = """() => new Promise(done => {
    requestAnimationFrame(() => requestAnimationFrame(done));
    setTimeout(done, 300);  // a tab in the background draws nothing
})"""


def press(locator: Locator) -> None:
    """Click it. In the LMS's frame only when what scrolling moved has been drawn: a click that comes sooner
    can hit what was there before, because another process draws the frame."""
    if len(locator.page.frames) > 1:
        locator.evaluate("element => element.scrollIntoView({block: 'center'})")
        locator.page.evaluate(DRAWN)
    locator.click()


def say_who(view: View, words: str = "我是家长") -> None:
    expect(view.get_by_role("heading", level=1)).to_have_text("现在是谁在学习？")
    press(view.get_by_role("button", name=words))
    expect(view.locator(".hero")).to_be_visible()


def finish_course(view: View, slug: str) -> None:
    """From the course page through every lesson, as a person who gets all answers right."""
    press(view.locator("main .btn-thumb"))
    for lesson in lessons(slug):
        expect(view.get_by_role("heading", level=1)).to_have_text(lesson["title"])
        if lesson["kind"] == "video":
            watch_video(view)
            press(view.get_by_role("link", name="下一节").first)
        elif lesson["kind"] == "article":
            press(view.get_by_role("button", name="读完了"))
        else:
            answer_quiz(view, slug)
            press(view.get_by_role("link", name="回到课程").first)
    expect(view.get_by_role("heading", name="祝贺，这门课学完了！")).to_be_visible()


def watch_video(view: View) -> None:
    """Play the video, muted and at double speed, until the page itself says that it counts."""
    done = view.locator("[data-when-complete]")
    expect(done).to_be_hidden()
    view.locator("video").evaluate("v => { v.muted = true; v.playbackRate = 2; return v.play(); }")
    expect(done).to_be_visible(timeout=45_000)


def answer_quiz(view: View, slug: str, *, wrong: int = 0) -> None:
    """Click the answers and hand them in: the right ones, except for the first `wrong` questions."""
    for number, right in enumerate(answers(slug)):
        choices = view.locator("fieldset.question").nth(number).locator("label.choice")
        chosen = right if number >= wrong else [next(i for i in range(choices.count()) if i not in right)]
        for index in chosen:
            press(choices.nth(index))
            expect(choices.nth(index).locator("input")).to_be_checked()
    press(view.get_by_role("button", name="提交答案"))
    expect(view.get_by_role("heading", name="还差一点" if wrong else "通过了！")).to_be_visible()


def lessons(slug: str) -> list[dict[str, Any]]:
    """The lessons of a demo course, read from its pack."""
    names = yaml.safe_load((DEMO / slug / "course.yaml").read_text("utf-8"))["lessons"]
    return [yaml.safe_load((DEMO / slug / name).read_text("utf-8").split("---\n")[1]) for name in names]


def answers(slug: str) -> list[list[int]]:
    """The right choices of the quiz's questions, by position."""
    quiz = next(lesson for lesson in lessons(slug) if lesson["kind"] == "quiz")
    return [_right(question) for question in quiz["questions"]]


def _right(question: dict[str, Any]) -> list[int]:
    if question["kind"] == "true_false":
        return [0 if question["answer"] else 1]
    return [index for index, choice in enumerate(question["choices"]) if choice.get("correct")]


def eventually(
    page: Page, ask: Callable[[], _Value], *, seconds: float = SECONDS, pause: float = 0.15
) -> _Value:
    """The first true answer while the browser keeps running; AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := ask():
            return value
        page.wait_for_timeout(pause * 1000)
    raise AssertionError(f"no answer within {seconds} s")


def width_of(view: View) -> int:
    """The width of what is on the page; more than the view's own means scrolling sideways."""
    return int(view.evaluate("() => document.documentElement.scrollWidth"))


def row_of(view: View, name: str) -> Locator:
    """The line of somebody on the class page."""
    return view.locator("tbody tr").filter(has=view.get_by_role("rowheader", name=name))


def until_told(view: View, row: Locator, word: str) -> None:
    """Look at the class page again until the state of the row's grade is `word`."""
    page = view if isinstance(view, Page) else view.page

    def told() -> bool:
        visit(view, "/class")
        return row.locator(".state").inner_text() == word

    eventually(page, told, pause=0.5)
