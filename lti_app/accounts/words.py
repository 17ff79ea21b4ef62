"""The sentences for what a check found, and the tables to start from."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext, lazy_gettext

from integrations.content.limits import MAX_COLUMNS, MAX_ROWS
from integrations.content.spreadsheet import Sheet
from lti_app.accounts.links import Verdict
from lti_app.accounts.models import BatchKind
from lti_app.accounts.queries import Stage

UNREADABLE = {
    "too-big": lazy_gettext("文件太大。请删掉图片和用不到的工作表，或分成几个文件（每个不超过 5 MB）。"),
    "too-many-rows": lazy_gettext("行数太多。一次最多 %(rows)s 行，请按年级分成几个文件。", rows=MAX_ROWS),
    "too-many-columns": lazy_gettext("列太多。最多 %(columns)s 列，请删掉用不到的列。", columns=MAX_COLUMNS),
    "old-format": lazy_gettext("这是旧的 .xls 文件，或者设了打开密码。请另存为不加密的 .xlsx 再上传。"),
    "has-macros": lazy_gettext("文件里有宏。请另存为普通的 .xlsx 再上传。"),
    "damaged": lazy_gettext("文件打不开，可能没有传完整。请用表格软件打开它，另存为 .xlsx 再上传。"),
    "unknown-encoding": lazy_gettext("看不懂文件的编码。请用表格软件打开它，另存为 .xlsx 再上传。"),
    "not-a-table": lazy_gettext("这不是表格文件。请上传 .xlsx 或 .csv。"),
    "empty": lazy_gettext("表格里没有内容。如果有几张工作表，只读第一张。"),
}
WRONG_COLUMNS = {
    "no-header": lazy_gettext("没有找到表头。前 5 行里要有一行写着列名，其中有“学号”。"),
    "missing-column": lazy_gettext("缺少要用的列。请对照模板，至少补上一列：%(column)s。"),
    "repeated-column": lazy_gettext("“%(column)s”这一列出现了两次，不知道该用哪一列。请删掉一列。"),
}
COLUMNS = {
    "guardian_name": lazy_gettext("家长姓名"),
    "guardian_id": lazy_gettext("家长编号"),
    "pupil_number": lazy_gettext("学号"),
}
PROBLEMS = {
    "pupil-missing": lazy_gettext("没有学号。"),
    "pupil-too-long": lazy_gettext("学号太长。"),
    "pupil-formula": lazy_gettext("学号以 = + - @ 开头，请改正。"),
    "pupil-rounded": lazy_gettext("学号被表格软件改成了科学计数，位数已丢。请把这一列设为“文本”，重新填写。"),
    "pupil-two-names": lazy_gettext("同一个学号有两个不同的姓名。"),
    "pupil-outside": lazy_gettext("不是您班上的学生（按学号在您的课程里没有找到）。"),
    "pupil-name-too-long": lazy_gettext("学生姓名太长。"),
    "pupil-name-formula": lazy_gettext("学生姓名以 = + - @ 开头，请改正。"),
    "class-too-long": lazy_gettext("班级名太长。"),
    "class-formula": lazy_gettext("班级名以 = + - @ 开头，请改正。"),
    "name-too-long": lazy_gettext("家长姓名太长。"),
    "name-formula": lazy_gettext("家长姓名以 = + - @ 开头，请改正。"),
    "relation-too-long": lazy_gettext("“关系”太长。"),
    "relation-formula": lazy_gettext("“关系”以 = + - @ 开头，请改正。"),
    "no-guardian": lazy_gettext("没有家长。"),
    "phone": lazy_gettext("手机号不对，请核对位数。"),
    "phone-rounded": lazy_gettext(
        "手机号被表格软件改成了科学计数，位数已丢。请把这一列设为“文本”，重新填写。"
    ),
    "email": lazy_gettext("邮箱写得不对。"),
    "repeated": lazy_gettext("和上面某一行重复，只算一次。"),
    "too-many-guardians": lazy_gettext("一个学生最多四位家长。"),
}
NOTES = {
    "sibling": lazy_gettext("与另一个孩子是同一位家长，合用一个账号。"),
    "shared-contact": lazy_gettext("电话或邮箱与另一位家长相同，但姓名不同：算两个人。"),
    "no-contact": lazy_gettext("没有电话和邮箱：下次导入时按学号和关系认人。"),
    "id-card": lazy_gettext("学号里有身份证号：用户名改用随机编码，不含学号。"),
}
VERDICTS = {
    Verdict.LINK: ("info", lazy_gettext("将关联"), ""),
    Verdict.KIND: ("info", lazy_gettext("将记下身份"), ""),
    Verdict.LINKED: ("done", lazy_gettext("已经关联"), ""),
    Verdict.PUPIL_UNKNOWN: (
        "error",
        lazy_gettext("没有这个学生"),
        lazy_gettext("在您能管理的课程里，没有这个学号的学生。请核对学号，或请他先从学校平台打开一次。"),
    ),
    Verdict.GUARDIAN_UNKNOWN: (
        "waiting",
        lazy_gettext("家长还没有来"),
        lazy_gettext(
            "在您能管理的课程里，还没有这个编号或邮箱的家长。等他打开一次以后，再导入同一份表即可。"
        ),
    ),
    Verdict.AMBIGUOUS: (
        "error",
        lazy_gettext("不止一个人"),
        lazy_gettext("学校平台里有几个账号用了同一个编号或邮箱，请先在那里改正。"),
    ),
    Verdict.SAME_LOGIN: (
        "error",
        lazy_gettext("同一个账号"),
        lazy_gettext("家长和学生是同一个账号，不用关联：请把班级成员设为“家庭共用账号”。"),
    ),
    Verdict.REPEATED: ("empty", lazy_gettext("重复"), lazy_gettext("和上面某一行重复，只算一次。")),
    Verdict.BAD: (
        "error",
        lazy_gettext("这一行有误"),
        lazy_gettext(
            "请核对：学号是否完整（没有变成 2.02E+09），“家长或学生”一列只能写这两个词；家长编号和这一列至少写一项。"
        ),
    ),
}
STAGES = {
    Stage.ARRIVED: ("done", lazy_gettext("已来过")),
    Stage.KNOWN: ("waiting", lazy_gettext("有账号，还没打开")),
    Stage.ABSENT: ("empty", lazy_gettext("还没有来")),
}


def template(kind: BatchKind) -> list[Sheet]:
    """A table to start from: header, three made-up rows, and a second sheet that explains the columns."""
    return _link_template() if kind is BatchKind.LINKS else _account_template()


def _account_template() -> list[Sheet]:
    head = [gettext("学号"), gettext("学生姓名"), gettext("班级")]
    for number in (1, 2):
        head += [
            gettext("家长%(number)s姓名", number=number),
            gettext("家长%(number)s关系", number=number),
            gettext("家长%(number)s手机", number=number),
            gettext("家长%(number)s邮箱", number=number),
        ]
    rows = [
        [
            "20250101",
            "陈小雨",
            "三年级2班",
            "李静",
            "妈妈",
            "13800138001",
            "",
            "陈建国",
            "爸爸",
            "13800138002",
            "",
        ],
        ["20250102", "刘一鸣", "三年级2班", "王芳", "妈妈", "13800138003", "wangfang@example.com", *[""] * 4],
        ["20230107", "陈小雪", "五年级1班", "李静", "妈妈", "13800138001", "", "陈桂花", "奶奶", "", ""],
    ]
    explained = [
        (
            gettext("学号"),
            gettext("必填。同一个孩子每次都写同一个号，用户名由它而来。请把这一列设为“文本”。"),
        ),
        (gettext("学生姓名"), gettext("印在首次登录单上；家长没有写姓名时，账号叫“陈小雨妈妈”。")),
        (gettext("班级"), gettext("家长进学校平台以后的分组。")),
        (gettext("家长1姓名"), gettext("姓名和关系至少写一项。一个学生最多四位家长：多写几列，或多写几行。")),
        (gettext("家长1关系"), gettext("妈妈、爸爸、爷爷、奶奶、外公、外婆……不写就算“家长”。")),
        (
            gettext("家长1手机"),
            gettext("只用来认出同一位家长（兄弟姐妹合用一个账号），不进账号文件，也不保存号码。"),
        ),
        (gettext("家长1邮箱"), gettext("选填。没有时，账号文件里写一个不会收到信的占位邮箱。")),
    ]
    widths = [14, 12, 14, *([12, 8, 14, 22] * 2)]
    return [Sheet(gettext("导入名单"), [head, *rows], widths), _explanation(explained)]


def _link_template() -> list[Sheet]:
    head = [gettext("学号"), gettext("学生姓名"), gettext("家长编号"), gettext("关系"), gettext("家长或学生")]
    rows = [
        ["20250101", "陈小雨", "p20250101a", "妈妈", ""],
        ["20250101", "陈小雨", "p20250101b", "爸爸", "家长"],
        ["20250102", "刘一鸣", "wangfang@example.com", "妈妈", ""],
    ]
    explained = [
        (gettext("学号"), gettext("必填。学校平台里这个学生的编号（Moodle 的“ID 号”，Canvas 的 SIS ID）。")),
        (gettext("学生姓名"), gettext("只给您核对用。")),
        (
            gettext("家长编号"),
            gettext("学校平台里这位家长的编号，或者他的邮箱。用我们的账号文件建的账号，编号就是用户名。"),
        ),
        (gettext("关系"), gettext("选填。几个人合用一个账号时，用它认出是谁。")),
        (
            gettext("家长或学生"),
            gettext(
                "选填，写“家长”或“学生”：这个账号在班里算谁，比班级设置优先。没有写家长的行，说的是学生的账号。"
            ),
        ),
    ]
    return [Sheet(gettext("导入名单"), [head, *rows], [14, 12, 26, 10, 8]), _explanation(explained)]


def _explanation(lines: list[tuple[str, str]]) -> Sheet:
    return Sheet(gettext("说明"), [[gettext("列"), gettext("怎么填")], *map(list, lines)], [16, 80])


def problem_with_columns(code: str, column: str) -> str:
    """The sentence for a header that does not fit."""
    word: Any = COLUMNS.get(column, column)
    return str(WRONG_COLUMNS[code]) % {"column": word}
