"""What a registration asks for, and what to click next, in the page's language."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext

from integrations.lti.ags import SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ, SCOPE_RESULT_READ, SCOPE_SCORE
from integrations.lti.notices import SCOPE_NOTICES
from integrations.lti.nrps import SCOPE_MEMBERSHIP


@dataclass(frozen=True, slots=True)
class Permission:
    """A service in plain words: what is done with it, why, and what is missing without it."""

    icon: str
    title: Any
    why: Any
    without: Any
    scopes: frozenset[str]


_PERMISSIONS = (
    Permission(
        "clipboard-check",
        lazy_gettext("写入成绩"),
        lazy_gettext("学完一门课，把本人的成绩写进课程的成绩册。"),
        lazy_gettext("成绩不会自动写回，老师只能在本工具里看。"),
        frozenset({SCOPE_SCORE}),
    ),
    Permission(
        "table",
        lazy_gettext("建立成绩列"),
        lazy_gettext("老师选了课程，就为它建好成绩列；只动本工具自己的列。"),
        lazy_gettext("成绩列要由老师在平台里建。"),
        frozenset({SCOPE_LINE_ITEM, SCOPE_LINE_ITEM_READ}),
    ),
    Permission(
        "search",
        lazy_gettext("核对成绩"),
        lazy_gettext("定期看一看本工具写的成绩在平台里是多少，改写之前也先看：老师改过的，不覆盖。"),
        lazy_gettext("看不出老师改过的分；有的平台里，更好的成绩会盖过老师改的。"),
        frozenset({SCOPE_RESULT_READ}),
    ),
    Permission(
        "people",
        lazy_gettext("读取课程名单"),
        lazy_gettext("老师能看到还有谁没来，而不只是已经来过的人。"),
        lazy_gettext("名单里只有打开过本工具的人。"),
        frozenset({SCOPE_MEMBERSHIP}),
    ),
    Permission(
        "bell",
        lazy_gettext("接收课程复制的通知"),
        lazy_gettext("课程复制到新学期后，原来的设置跟着过去。"),
        lazy_gettext("复制课程后，要到第一次打开时才能接上。"),
        frozenset({SCOPE_NOTICES}),
    ),
)

PLACEMENTS: dict[str, Any] = {
    "course_navigation": lazy_gettext("课程左侧菜单（默认隐藏，老师需要时自己打开）"),
    "assignment_selection": lazy_gettext("新建作业时选一门课（记成绩）"),
    "link_selection": lazy_gettext("在单元里添加一个链接（不记成绩）"),
    "module_index_menu_modal": lazy_gettext("单元页的菜单：一次选多门课（记成绩）"),
    "course_assignments_menu": lazy_gettext("作业页的菜单：一次选多门课（记成绩）"),
}

PLACES: dict[str, Any] = {
    "manage-tools-url": lazy_gettext(
        "网站管理 → 插件 → 外部工具 → 管理工具（Manage tools）：把地址粘贴到“工具 URL”（Tool URL），点“添加 LTI Advantage”（Add LTI Advantage）。"
    ),
    "apps-registration": lazy_gettext(
        "管理 → 应用（Apps）→ 管理 → 安装新应用 → 动态注册（Dynamic Registration）：粘贴地址，继续。"
    ),
    "register-tool": lazy_gettext(
        "管理工具 → 管理扩展性 → LTI Advantage → 注册工具 → 动态：粘贴到“工具启动注册端点”，注册。"
    ),
    "registration-form": lazy_gettext("在“外部工具”或“LTI 1.3”设置里找到“动态注册”，粘贴地址。"),
}

STEPS: dict[str, Any] = {
    "activate-card": lazy_gettext(
        "在“管理工具”（Manage tools）页，找到刚出现的“共育”卡片，点“激活”（Activate）。"
    ),
    "show-in-chooser": lazy_gettext(
        "点卡片上的齿轮，把“工具配置使用”（Tool configuration usage）改为“在活动选择器中显示”（Show in activity chooser）；"
        "或者由老师在课程的“更多 → LTI 外部工具”（More → LTI External tools）里打开“在活动选择器中显示”。"
    ),
    "review-app": lazy_gettext("回到平台，核对权限和显示位置，完成安装。"),
    "set-available": lazy_gettext(
        "打开应用的“可用性与例外”（Availability & Exceptions），设为“可用”（Available），或只为要用的子账号、课程加例外。"
        "不做这一步，课程里什么也看不到。"
    ),
    "enable-registration": lazy_gettext("在 LTI Advantage 的列表里打开这条注册，启用（Enabled）并保存。"),
    "add-deployment": lazy_gettext("点“查看部署 → 新建部署”，选好要开放的组织单位和个人信息，保存。"),
    "switch-on": lazy_gettext("在平台的工具列表里启用“共育”，并让老师能选到它。"),
    "open-once": lazy_gettext("进一门课，添加并打开一次“共育”，就会看到课程。"),
}


def permissions(scopes: Collection[str]) -> tuple[list[Permission], list[Permission]]:
    """What can be asked for with these scopes, and what cannot."""
    wanted = frozenset(scopes)
    there = [one for one in _PERMISSIONS if one.scopes & wanted]
    return there, [one for one in _PERMISSIONS if not one.scopes & wanted]


def steps(names: Iterable[str]) -> list[Any]:
    """The sentences of an adapter's `steps_after_registration`."""
    return [STEPS[name] for name in names]
