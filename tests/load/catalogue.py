"""A large catalogue for measurements: courses as districts write them, the same ones for every seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from sqlalchemy import insert

from lti_app.clock import utc_now
from lti_app.courses.models import Course, CourseKind, CourseStage, CourseStatus, Stage
from lti_app.courses.search import reindex
from lti_app.extensions import db
from lti_app.roster.models import Audience

SEED = 2026

THEMES = [
    "亲子沟通",
    "家庭阅读",
    "学习习惯",
    "健康护眼",
    "防网络诈骗",
    "防学生欺凌",
    "家务与感恩",
    "幼小衔接",
    "小升初衔接",
    "青春期心理",
    "考试压力",
    "选科与生涯",
    "隔代养育",
    "父亲陪伴",
    "家庭会议",
    "安全演练",
    "法治教育",
    "科学与创客",
    "传统节日",
    "运动与睡眠",
    "财商启蒙",
    "手机与游戏",
    "情绪管理",
    "二孩家庭",
    "STEAM",
    "家庭英语",
]
BRANDS = [
    "渝见饭桌",
    "渝见暖灯",
    "渝见平安",
    "渝见成长阶梯",
    "渝见家长书房",
    "渝见明眸",
    "渝见创客坊",
    "渝见法苑",
]
WHO = [
    "爸爸",
    "妈妈",
    "祖辈",
    "外公外婆",
    "双职工家庭",
    "新手家长",
    "一年级家长",
    "六年级家长",
    "初一家长",
    "初三家长",
    "高一家长",
    "高三家长",
    "二孩家庭",
    "留守儿童家庭",
    "单亲家庭",
    "班级家委会",
]
WHEN = [
    "睡前",
    "饭桌上",
    "周末",
    "寒假",
    "暑假",
    "开学第一周",
    "考试前",
    "成绩出来以后",
    "接孩子的路上",
    "雨天",
    "国庆长假",
    "春节",
    "早上出门前",
]
WHAT = [
    "亲子共读",
    "晨间共读",
    "写作业",
    "做家务",
    "讲故事",
    "开家庭会议",
    "定手机规则",
    "谈心",
    "户外运动",
    "整理书包",
    "选课外书",
    "认识情绪",
    "防骗演练",
    "消防演练",
    "护眼操",
    "学做一道菜",
    "记家庭账本",
    "观察植物",
    "写感谢信",
    "练口算",
    "背古诗",
    "看地图",
    "做手工",
    "听英语",
    "预习新课",
    "复盘错题",
    "早睡",
    "交朋友",
    "面对嘲笑",
    "说对不起",
    "表扬孩子",
    "拒绝孩子",
    "陪孩子哭一会儿",
]
HOW = [
    "十分钟",
    "三步走",
    "五个小办法",
    "一张表",
    "一句话",
    "从零开始",
    "慢慢来",
    "不催不吼",
    "先听再说",
    "有商有量",
    "一起动手",
    "说到做到",
    "轻松上手",
    "每天一点点",
]
FORM = [
    "微课",
    "公开课",
    "案例课",
    "工作坊",
    "入门",
    "进阶",
    "答疑",
    "第一讲",
    "第二讲",
    "第三讲",
    "上",
    "下",
    "精讲",
    "实践篇",
]
ENGLISH = """Reading Together|Family STEAM Night|Bedtime English|Growth Mindset|Positive Discipline|Screen Time Rules|
Phonics at Home|Kitchen Chemistry|Coding with Kids|Storytelling""".replace("\n", "").split("|")
WHY = """孩子愿意说，家长才听得见。|办法不多，今晚就能用。|先稳住自己，再帮孩子。|把大目标拆成每天的一小步。|不讲大道理，只看真实的家庭片段。|
由一线教师和心理老师共同讲授。|附一张可以贴在冰箱上的清单。|适合全家一起看，看完就做。|少一点催促，多一点等待。|规则一起定，孩子更愿意守。|
从重庆二十所学校的家长来信里选出的问题。|每一节不超过十分钟，碎片时间就能学。|用一次小小的改变，换来更安心的陪伴。""".replace(
    "\n", ""
).split("|")


def courses(number: int, seed: int = SEED) -> Iterator[tuple[dict[str, Any], list[Stage]]]:
    """The columns of each course and its stages."""
    chance = random.Random(seed)
    for position in range(1, number + 1):
        theme, what, hours = (
            chance.choice(THEMES),
            chance.choice(WHAT),
            chance.choice([25, 50, 50, 75, 100, 200]),
        )
        yield (
            {
                "id": position,
                "slug": f"course-{position:05}",
                "title": _title(chance, theme, what)[:120],
                "summary": f"{chance.choice(WHEN)}{what}，"
                + "".join(chance.sample(WHY, chance.randint(1, 4))),
                "language": "zh-CN",
                "version": 1,
                "kind": chance.choice(list(CourseKind)),
                "theme": theme,
                "audience": chance.choice([Audience.PARENTS, *Audience]),
                "class_hours": hours,
                "credits": hours,
                "brand": chance.choice([None, *BRANDS]),
                "cover": "journal-richtext",
                "status": CourseStatus.PUBLISHED if chance.random() < 0.97 else CourseStatus.DRAFT,
                "content_hash": f"{position:064}",
                "updated_at": utc_now(),
            },
            chance.sample(list(Stage), chance.choice([1, 1, 2, 3])),
        )


def stock(number: int) -> None:
    """Put `number` courses into the empty catalogue of the current application, indexed; commits."""
    rows = list(courses(number))
    db.session.execute(insert(Course), [row for row, _ in rows])
    db.session.execute(
        insert(CourseStage),
        [{"course_id": row["id"], "stage": stage} for row, stages in rows for stage in stages],
    )
    reindex()
    db.session.commit()


def _title(chance: random.Random, theme: str, what: str) -> str:
    pattern = chance.randrange(6)
    if pattern == 0:
        return f"{chance.choice(WHEN)}{what}：{chance.choice(HOW)}"
    if pattern == 1:
        return f"{chance.choice(WHO)}的{theme}{chance.choice(FORM)}"
    if pattern == 2:
        return f"{what}，{chance.choice(HOW)}（{chance.choice(FORM)}）"
    if pattern == 3:
        return f"{chance.choice(ENGLISH)}：{chance.choice(WHEN)}{what}"
    if pattern == 4:
        return f"写给{chance.choice(WHO)}：{chance.choice(WHEN)}怎样{what}"
    return f"{theme}{chance.randint(1, 60)}问：{what}{chance.choice(HOW)}"
