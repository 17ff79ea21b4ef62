"""Who is at 晨光实验学校 and what its two parent classes show: fixed data, written by us, about nobody."""

from __future__ import annotations

from dataclasses import dataclass

NAME = "晨光实验学校"

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
INSTRUCTOR = MEMBERSHIP + "Instructor"
ASSISTANT = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"
LEARNER = MEMBERSHIP + "Learner"
MENTOR = MEMBERSHIP + "Mentor"
ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"
NOBODY = "http://purl.imsglobal.org/vocab/lis/v2/system/person#None"


@dataclass(frozen=True)
class Person:
    """An account of the LMS. `id` is the `sub` of launches; `shared` says whether the school gives the
    name and the e-mail address to tools."""

    id: str
    name: str
    label: str
    about: str
    roles: tuple[str, ...]
    courses: tuple[str, ...] = ("grade-1", "grade-7")
    children: tuple[str, ...] = ()
    shared: bool = True

    @property
    def email(self) -> str | None:
        return f"{self.id}@chenguang.example" if self.shared and self.known else None

    @property
    def known(self) -> bool:
        """False for a visitor without an account: a launch then has no `sub`."""
        return NOBODY not in self.roles

    @property
    def is_staff(self) -> bool:
        return INSTRUCTOR in self.roles or ADMINISTRATOR in self.roles

    @property
    def gradable(self) -> bool:
        return LEARNER in self.roles

    @property
    def on_roster(self) -> bool:
        """Members whom NRPS lists: no administrators, visitors or test students (as Canvas does)."""
        return any(role.startswith(MEMBERSHIP) for role in self.roles) and TEST_USER not in self.roles


@dataclass(frozen=True)
class Course:
    id: str
    title: str
    label: str
    teacher: str = "王老师"


@dataclass(frozen=True)
class Link:
    """One embedded tool link. `slug` is the custom parameter `gongyu_course`; `custom` holds what a tool's
    picker gave; `maximum` is that of the gradebook column made with the link, None where there is none."""

    id: str
    course: str
    section: str
    title: str
    about: str
    slug: str | None
    maximum: float | None
    custom: tuple[tuple[str, str], ...] = ()


COURSES = {
    course.id: course
    for course in (
        Course("grade-1", "一年级家长班", "2026 秋 · 一年级"),
        Course("grade-7", "七年级家长班", "2026 秋 · 七年级"),
    )
}

CAST = (
    Person("wang-laoshi", "王老师", "教师", "班主任，看全班的成绩和名单", (INSTRUCTOR,)),
    Person("li-zhujiao", "李助教", "助教", "帮助王老师管理家长班", (ASSISTANT, INSTRUCTOR)),
    Person("chen-mama", "陈妈妈", "家长", "以学生身份加入家长班，成绩写回成绩册", (LEARNER,)),
    Person("liu-baba", "刘爸爸", "家长", "另一位以学生身份加入的家长", (LEARNER,)),
    Person(
        "zhao-nainai",
        "赵奶奶",
        "观察者家长",
        "关联到学生陈小雨，成绩册里没有她的行",
        (MENTOR,),
        children=("chen-xiaoyu",),
    ),
    Person("chen-xiaoyu", "陈小雨", "学生", "一名小学生", (LEARNER,)),
    Person("guanliyuan", "孙主任", "管理员", "学校管理员，不是课程成员", (ADMINISTRATOR,)),
    Person("wuming", "未公开姓名", "家长", "学校不把姓名和邮箱交给工具", (LEARNER,), shared=False),
    Person("ceshi", "测试学生", "测试学生", "教师预览时用的账号", (LEARNER, TEST_USER)),
    Person("fangke", "匿名访客", "访客", "没有登录，启动消息里没有 sub", (NOBODY,), courses=()),
)

# Thirty more parents, so that rosters and gradebooks look like a class.
_NAMES = (
    "周丽华 吴建国 郑晓燕 冯志强 褚秀英 卫海涛 蒋敏 沈国栋 韩玉兰 杨文博 朱春梅 秦立新 尤雪琴 许永刚 何佳怡 "
    "吕明远 施桂芳 张俊杰 孔婷婷 曹德胜 严慧 华浩然 金淑珍 魏卫东 陶静怡 姜家豪 戚红霞 谢振宇 邹雅文 喻少华"
)


def _crowd() -> tuple[Person, ...]:
    people = []
    for number, name in enumerate(_NAMES.split(), start=1):
        course = "grade-1" if number <= 16 else "grade-7"
        people.append(Person(f"parent-{number:02d}", name, "家长", "同班家长", (LEARNER,), courses=(course,)))
    return tuple(people)


PEOPLE = {person.id: person for person in (*CAST, *_crowd())}

LINKS: dict[str, Link] = {
    link.id: link
    for link in (
        Link(
            "g1-reading",
            "grade-1",
            "第一周 陪伴从今天开始",
            "每天十五分钟亲子共读",
            "学完并通过小测，成绩写入这一列。",
            "shared-reading-15-minutes",
            100,
        ),
        Link(
            "g1-eyes",
            "grade-1",
            "第一周 陪伴从今天开始",
            "睛彩在家：护眼三件小事",
            "满分是十分，不是一百分。",
            "bright-eyes-at-home",
            10,
        ),
        Link(
            "g1-meals",
            "grade-1",
            "第二周 一起吃饭",
            "一顿没有屏幕的饭",
            "全家一起学的微课。",
            "screen-free-meals",
            100,
        ),
        Link(
            "g1-ungraded",
            "grade-1",
            "再试一试",
            "亲子共读（不计成绩）",
            "与第一周同一门微课，这里没有成绩列。",
            "shared-reading-15-minutes",
            None,
        ),
        Link(
            "g1-new",
            "grade-1",
            "再试一试",
            "还没有选微课的链接",
            "老师放好了工具，还没有指定微课。",
            None,
            100,
        ),
        Link(
            "g7-emotions",
            "grade-7",
            "第一周 和青春期的孩子说话",
            "读懂青春期的情绪",
            "学完并通过小测，成绩写入这一列。",
            "adolescence-emotions",
            100,
        ),
        Link(
            "g7-fraud",
            "grade-7",
            "第二周 安全上网",
            "全家防骗课：守好手机这扇门",
            "学完并通过小测，成绩写入这一列。",
            "network-fraud-shield",
            100,
        ),
        Link(
            "g7-reading",
            "grade-7",
            "再试一试",
            "每天十五分钟亲子共读",
            "与一年级同一门微课，却是另一列成绩。",
            "shared-reading-15-minutes",
            100,
        ),
    )
}


def members(course: str) -> list[Person]:
    """The people of a course as its roster shows them, in a stable order."""
    return [person for person in PEOPLE.values() if course in person.courses and person.on_roster]


def gradable(course: str) -> list[Person]:
    """Those who have a row in the gradebook of a course."""
    return [person for person in PEOPLE.values() if course in person.courses and person.gradable]
