"""What the families' pages call things."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext, lazy_gettext

from lti_app.families.linking import Obstacle
from lti_app.roster.models import GuardianSource

SOURCES = {
    GuardianSource.ROLE_SCOPE_MENTOR: lazy_gettext("学校平台登记的家长"),
    GuardianSource.OBSERVEES: lazy_gettext("学校平台登记的观察家长"),
    GuardianSource.SIS_IMPORT: lazy_gettext("学校导入的名单"),
    GuardianSource.CLAIM_CODE: lazy_gettext("认领码"),
}
OBSTACLES = {
    Obstacle.SAME_PERSON: lazy_gettext("这两个账号已经属于同一个人，不用再连接。"),
    Obstacle.HAS_RECORDS: lazy_gettext(
        "这个账号已经有学习记录或学分，还不能并到另一个账号。如果另一个账号没有学习记录，"
        "请反过来做：在这个账号上生成连接码，到另一个账号上输入。"
    ),
    Obstacle.HAS_OTHER_LOGINS: lazy_gettext(
        "这个账号已经和别的账号连接在一起。请反过来做：在这个账号上生成连接码，到另一个账号上输入。"
    ),
}
MISCOPIED = lazy_gettext("这串码不完整，或者有一位抄错了。请对照原来的码再看一遍。这次不计入输错的次数。")
WRONG_CLAIM = lazy_gettext(
    "这个认领码不能用：可能输错了，也可能已经过期、用完或被老师换掉。请再核对一遍，或请老师重新打印。"
)
WRONG_LINK = lazy_gettext(
    "这个连接码不能用：可能输错了、用过了，或者超过了十分钟。请到另一个账号上重新生成。"
)
TOO_MANY = lazy_gettext("输错的次数太多了。请过一小时再试，或者请老师帮忙核对。")


def child_name(name: str | None) -> str:
    return name or gettext("未署名的孩子")


def pupil_name(pupil: Any) -> str:
    """A pupil whose name the platform does not send is told apart by a number the teacher can look up."""
    if pupil.name:
        return str(pupil.name)
    if pupil.sis_id:
        return gettext("学号 %(id)s", id=pupil.sis_id)
    return gettext("未署名学生（平台编号 %(id)s）", id=pupil.sub)


def guardian_name(row: Any) -> str:
    return str(row.name or row.label or gettext("未署名家长"))


def masked(initial: str | None) -> str:
    """An account's owner as somebody who knows them recognises them."""
    return f"{initial}**" if initial else gettext("未署名家长")
