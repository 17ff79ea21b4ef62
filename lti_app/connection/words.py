"""The words of the connection check: what each step is, what came of it, and what to click.

A sentence says first what is wrong and then what to do, for the person who administers the LMS.
"""

from __future__ import annotations

from typing import Any

from flask_babel import gettext, lazy_gettext

from lti_app.connection.checks import Finding, Step, Verdict

TITLES: dict[Step, Any] = {
    Step.ADDRESSES: lazy_gettext("地址与 HTTPS"),
    Step.PLATFORM_KEYS: lazy_gettext("读取平台公钥"),
    Step.TOKEN: lazy_gettext("获取服务令牌"),
    Step.OUR_KEYS: lazy_gettext("平台读取本工具公钥"),
    Step.CLOCK: lazy_gettext("服务器时钟"),
    Step.SCORES: lazy_gettext("权限：发送成绩"),
    Step.COLUMNS: lazy_gettext("权限：建立成绩列"),
    Step.COLUMNS_READ: lazy_gettext("权限：查看成绩列"),
    Step.RESULTS: lazy_gettext("权限：核对成绩"),
    Step.MEMBERS: lazy_gettext("权限：读取名单"),
    Step.NOTICES: lazy_gettext("权限：接收通知"),
    Step.ROSTER: lazy_gettext("试读一个班的名单"),
    Step.LINE_ITEMS: lazy_gettext("试读一门课的成绩列"),
    Step.NAMES: lazy_gettext("姓名与邮箱"),
    Step.FRAMES: lazy_gettext("嵌入页面"),
    Step.DEPLOYMENTS: lazy_gettext("部署"),
}
VERDICTS: dict[Verdict, tuple[str, Any]] = {
    Verdict.OK: ("done", lazy_gettext("正常")),
    Verdict.WARNING: ("waiting", lazy_gettext("请留意")),
    Verdict.FAILED: ("error", lazy_gettext("有问题")),
    Verdict.IMPOSSIBLE: ("empty", lazy_gettext("无法检查")),
}

_ASK_OPERATOR = lazy_gettext("请联系本工具的运营人员。")
_SENTENCES: dict[str, Any] = {
    # what went well
    "addresses-fine": lazy_gettext("都使用 HTTPS。平台里登记的重定向地址必须一字不差：%(redirect)s"),
    "keys-read": lazy_gettext("读到 %(count)s 个可用的公钥。"),
    "token-given": lazy_gettext("平台发放了令牌，其中有 %(count)s 项权限。"),
    "proved-by-token": lazy_gettext("平台用本工具的公钥核对了签名，否则不会发放令牌：%(key_set)s"),
    "clocks-agree": lazy_gettext("与平台的时间相差不到 5 秒。"),
    "granted": lazy_gettext("平台已授予。"),
    "covered": lazy_gettext("没有单独授予，但“建立成绩列”的权限已包含它。"),
    "roster-read": lazy_gettext("读到 %(count)s 人，其中 %(names)s 人有姓名，%(emails)s 人有邮箱。"),
    "roster-goes-on": lazy_gettext(
        "第一页读到 %(count)s 人（后面还有），其中 %(names)s 人有姓名，%(emails)s 人有邮箱。"
    ),
    "columns-listed": lazy_gettext("可以读取，其中有 %(count)s 个本工具的成绩列。"),
    "names-come": lazy_gettext("平台介绍过的 %(people)s 人中，%(names)s 人有姓名，%(emails)s 人有邮箱。"),
    "origins-allowed": lazy_gettext("本工具的页面允许嵌入在：%(origins)s"),
    "deployments-active": lazy_gettext("%(count)s 个部署，都已启用。"),
    # what could not be tried
    "no-token": lazy_gettext("没有拿到令牌，所以还不知道。请先解决“获取服务令牌”。"),
    "not-proved": lazy_gettext(
        "只有平台自己能试。请在平台服务器上打开这个地址，应当看到一段以 keys 开头的文字：%(key_set)s"
    ),
    "clock-not-told": lazy_gettext("平台的回答里没有时间。"),
    "not-offered": lazy_gettext("这个平台没有提供通知服务。没有它，一切照常。"),
    "no-roster-address": lazy_gettext("还没有从哪门课里得到名单地址。请从一门课里打开本工具，再检查一次。"),
    "members-not-granted": lazy_gettext("没有“读取名单”的权限，所以没有试。"),
    "no-columns-address": lazy_gettext("还没有从哪门课里得到成绩地址。请从一门课里打开本工具，再检查一次。"),
    "columns-not-granted": lazy_gettext("没有“查看成绩列”的权限，所以没有试。"),
    "nobody-came": lazy_gettext("还没有人打开过。请从一门课里打开本工具，再检查一次。"),
    "no-origin-seen": lazy_gettext("最近没有人打开过。现在允许嵌入在：%(origins)s"),
    # our side
    "tool-without-https": lazy_gettext(
        "本工具的地址 %(address)s 不是 HTTPS，浏览器不会在学校平台里显示它。请运营人员配置证书，"
        "并把 GONGYU_PUBLIC_URL 改成 https 地址。"
    ),
    "platform-without-https": lazy_gettext(
        "平台的地址 %(address)s 不是 HTTPS，登录信息可能被窃听。请平台管理员启用 HTTPS。"
    ),
    "tool-key-locked": lazy_gettext(
        "本工具自己的签名密钥打不开。请运营人员核对 GONGYU_KEY_ENCRYPTION_KEY，再运行 flask keys list。"
    ),
    # the network
    "timeout": lazy_gettext(
        "平台在规定时间内没有回答。请确认平台正在运行，防火墙没有拦住本工具的服务器，稍后再检查。"
    ),
    "unreachable": lazy_gettext(
        "连不上平台：域名查不到，或者连接被拒绝。请核对登记的地址，并让平台的防火墙放行本工具的服务器。"
    ),
    "tls-failed": lazy_gettext(
        "平台的 HTTPS 证书无效（过期、域名不符或缺少中间证书）。请平台管理员更换证书；如果是学校自己的证书机构，"
        "请运营人员设置 GONGYU_CA_FILE。"
    ),
    "private-address": lazy_gettext(
        "平台的地址属于内部网络，本工具默认不访问。如果这是学校内网，请运营人员运行 "
        "flask platforms allow %(name)s --private-network"
    ),
    "not-https": lazy_gettext(
        "平台的地址不是 HTTPS，本工具默认不访问。如果这是测试或学校内网，请运营人员运行 "
        "flask platforms allow %(name)s --http"
    ),
    "bad-address": lazy_gettext("登记的地址不是一个可用的网址。请运营人员核对登记信息。"),
    "too-large": lazy_gettext("平台的回答大得不正常。请核对登记的地址是否指向了别的页面。"),
    "broken-answer": lazy_gettext(
        "平台回答了，但内容不是约定的格式，往往是登录页或出错页。请核对登记的地址，并查看平台的日志。"
    ),
    "key-set-unavailable": lazy_gettext("平台没有给出公钥（HTTP %(status)s）。请核对登记的公钥集地址。"),
    "no-usable-key": lazy_gettext(
        "公钥集里没有可用的 RSA 公钥：%(address)s。请核对这个地址是不是平台的公钥集。"
    ),
    "platform-busy": lazy_gettext(
        "平台正忙（HTTP %(status)s）。请过几分钟再检查；一直这样请查看平台的日志。"
    ),
    "token-endpoint-busy": lazy_gettext(
        "平台的令牌地址正忙或出错（HTTP %(status)s）。请过几分钟再检查；一直这样请查看平台的日志。"
    ),
    # the token endpoint's refusals
    "keys-fetch-blocked": lazy_gettext(
        "平台不能读取本工具的公钥，因为它禁止自己访问这个地址。请平台管理员打开“网站管理 › 常规 › 安全 › HTTP 安全”"
        "（Site administration › General › Security › HTTP security），从“cURL 禁止的主机列表”"
        "（cURL blocked hosts list）里去掉本工具的地址，并把它的端口加进“cURL 允许的端口列表”"
        "（cURL allowed ports list）。也请核对本工具的公钥地址能否打开：%(key_set)s；以及登记的令牌地址：%(address)s"
    ),
    "keys-fetch-failed": lazy_gettext(
        "平台没能读取本工具的公钥。请核对平台里填写的公钥地址（JWK URL）就是这个，并且从外网能打开：%(key_set)s"
    ),
    "token-endpoint-cannot-reach-us": lazy_gettext(
        "令牌地址回答“没有找到”。请核对登记的令牌地址：%(address)s；如果没错，就是平台读不到本工具的公钥：%(key_set)s"
    ),
    "audience-refused": lazy_gettext(
        "平台不认令牌请求里的接收方（aud），它通常是令牌地址。请运营人员运行 "
        "flask platforms allow %(name)s --token-audience 平台要求的值（令牌地址现在是 %(address)s）"
    ),
    "signature-refused": lazy_gettext(
        "平台核对签名失败。请核对平台里填写的公钥地址（不要粘贴单个公钥）：%(key_set)s；平台若缓存了旧公钥，请清除缓存。"
    ),
    "key-unknown-to-platform": lazy_gettext(
        "平台里没有本工具现在用的公钥。请核对平台里填写的公钥地址（不要粘贴单个公钥）：%(key_set)s；"
        "平台若缓存了旧公钥，请清除缓存。"
    ),
    "invalid-client": lazy_gettext(
        "平台不认识这个 Client ID，或者工具已停用：%(client_id)s。请在平台的工具设置里核对，并确认工具已启用。"
    ),
    "invalid-grant": lazy_gettext(
        "平台拒绝了令牌请求。请核对 Client ID（%(client_id)s）和令牌地址（%(address)s）。"
    ),
    "invalid-request": lazy_gettext(
        "平台看不懂令牌请求。请核对登记的令牌地址：%(address)s；如果没错，请把这一页发给运营人员。"
    ),
    "unsupported-grant": lazy_gettext("登记的令牌地址不发放服务令牌：%(address)s。请核对它。"),
    "clock-differs": lazy_gettext(
        "平台认为令牌请求的时间不对。请让平台和本工具的服务器都自动校时（NTP），再检查一次。"
    ),
    "scope-not-granted": lazy_gettext("平台没有给这个工具任何服务权限。"),
    "token-refused": lazy_gettext(
        "平台拒绝了令牌请求，没有说明原因。请核对 Client ID（%(client_id)s）和令牌地址（%(address)s）。"
    ),
    "platform-cannot-verify-us": lazy_gettext(
        "平台没能用本工具的公钥核对签名，原因见“获取服务令牌”。公钥地址：%(key_set)s"
    ),
    # the services
    "not-granted": lazy_gettext("平台没有授予。"),
    "not-found": lazy_gettext(
        "平台说没有这个地址（HTTP %(status)s）。课程可能已删除；请从另一门课里打开本工具再检查。"
    ),
    "forbidden": lazy_gettext("平台不允许（HTTP %(status)s）。请核对工具的服务权限，以及课程是否已结束。"),
    "refused": lazy_gettext(
        "平台拒绝了（HTTP %(status)s）。课程可能已关闭或隐藏；请从另一门课里打开本工具再检查。"
    ),
    "too-many-pages": lazy_gettext("平台的分页没有尽头。请把这一页发给运营人员。"),
    "foreign-next-page": lazy_gettext("平台的下一页指向另一个网站，本工具没有跟去。请把这一页发给运营人员。"),
    "roster-empty": lazy_gettext("名单是空的。请确认课程里有人，并且工具的隐私设置允许读取名单。"),
    "names-missing": lazy_gettext(
        "平台介绍过的 %(people)s 人中，只有 %(names)s 人有姓名。老师会看到编号而不是名字；学习和成绩照常。"
    ),
    # the rest
    "clock-ahead": lazy_gettext("平台的时钟比本工具快 %(seconds)s 秒。请让两边的服务器都自动校时（NTP）。"),
    "clock-behind": lazy_gettext(
        "平台的时钟比本工具慢 %(seconds)s 秒，有的平台会因此拒绝令牌。请让两边的服务器都自动校时（NTP）。"
    ),
    "origin-missing": lazy_gettext(
        "有人从 %(origin)s 打开，但它没有登记，出错页会显示为空白。请运营人员运行 "
        "flask platforms allow %(name)s --frame-origin %(origin)s"
    ),
    "deployments-pending": lazy_gettext(
        "%(count)s 个部署等待批准：%(ids)s。从那里打开的人会看到“等待批准”。请把这条命令发给本工具的运营人员，"
        "每个编号一次：flask platforms deployments %(name)s --accept 编号"
    ),
    "internal-error": lazy_gettext("检查中途出错了。请再检查一次；一直这样请联系本工具的运营人员。"),
}
# Where services and personal data are allowed, by `Platform.admin_place`.
_SERVICES_AT: dict[str, Any] = {
    "external-tool-form": lazy_gettext(
        "请到“网站管理 › 插件 › 外部工具 › 管理工具”（Manage tools），打开本工具的设置，"
        "在“服务”（Services）里启用成绩同步与管理成绩列、以及名单服务，再保存。"
    ),
    "developer-key": lazy_gettext(
        "请到“管理 › 开发者密钥”（Admin › Developer Keys），编辑本工具的密钥，打开所缺的范围（Scopes），再保存。"
    ),
    "tool-settings": lazy_gettext("请在平台的外部工具设置里，为本工具打开所缺的服务。"),
}
_PRIVACY_AT: dict[str, Any] = {
    "external-tool-form": lazy_gettext(
        "要显示名字，请到“网站管理 › 插件 › 外部工具 › 管理工具”，在本工具设置的“隐私”（Privacy）里选择共享姓名。"
    ),
    "developer-key": lazy_gettext(
        "要显示名字，请到“管理 › 设置 › 应用”（Admin › Settings › Apps），检查已安装应用的隐私级别"
        "（Privacy Level）：它可以和开发者密钥里的不同。"
    ),
    "tool-settings": lazy_gettext("要显示名字，请在平台的外部工具设置里允许共享姓名。"),
}
_PLACES = {"not-granted": _SERVICES_AT, "scope-not-granted": _SERVICES_AT, "names-missing": _PRIVACY_AT}


def title(step: Step) -> str:
    """What was tried, in the page's language."""
    return str(TITLES[step])


def sentence(finding: Finding, **known: Any) -> str:
    """What came of it and what to do, in the page's language. `known` fills what the finding leaves out
    (the platform's name, where its settings are)."""
    values = {"status": "-", **known, **finding.values}
    pattern = _SENTENCES.get(finding.code)
    if pattern is None:
        return gettext("出错了（%(code)s）。", code=finding.code) + str(_ASK_OPERATOR)
    text = str(pattern) % values
    place = _PLACES.get(finding.code, {}).get(str(values.get("place")), "")
    return (text + str(place)).strip()
