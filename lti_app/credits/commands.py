"""`flask credits …`: the audit of the bank, and its rules."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click

from lti_app.credits import queries, rulebook, services
from lti_app.credits.models import Category, SourceKind
from lti_app.credits.queries import Difference
from lti_app.credits.rulebook import RuleRefused
from lti_app.credits.rules import Rule
from lti_app.errors import OperatorGroup
from lti_app.extensions import db, start_as_reader

group = OperatorGroup("credits", help="The credit bank: audit and rules.")
rules = OperatorGroup("rules", help="What earns how much: data with validity. Rules are ended, never edited.")
group.add_command(rules)


class Hundredths(click.ParamType[int]):
    """A number with at most two decimals, taken in hundredths."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            amount = Decimal(value) * 100
        except ArithmeticError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not amount.is_finite() or amount != amount.to_integral_value() or not 0 <= amount <= 10**9:
            self.fail(f"{value!r} is not a number of 0 or more with at most two decimals", param, ctx)
        return int(amount)


class Day(click.ParamType[date]):
    """A calendar day, YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            return datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007  (a day has no zone)
        except ValueError:
            self.fail(f"{value!r} is not a day like 2026-09-01", param, ctx)


@group.command("audit")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def audit(as_json: bool) -> None:
    """Compare every balance with the sum of its entries; exit 1 when any differs."""
    start_as_reader(True)  # so that a long audit never holds SQLite's write lock
    differences = _differences()
    if as_json:
        click.echo(json.dumps([asdict(difference) for difference in differences]))
    elif differences:
        click.echo(_table(differences))
    else:
        click.echo("Every balance is the sum of its entries.")
    if differences:
        raise SystemExit(1)


@group.command("rebuild")
def rebuild() -> None:
    """Make every balance that differs the sum of its entries again. Entries stay as they are."""
    start_as_reader(True)
    accounts = sorted({difference.account_id for difference in _differences()})
    start_as_reader(False)
    for account_id in accounts:
        services.rebuild_balances(account_id)
        db.session.commit()
    click.echo(f"{len(accounts)} account(s) rebuilt.")


def _differences() -> list[Difference]:
    found: list[Difference] = []
    for page in queries.audit():
        db.session.rollback()  # one short transaction a page
        found += page
    return found


def _table(differences: list[Difference]) -> str:
    row = "{:>10}  {:>8}  {:<12}  {:>14}  {:>14}".format
    lines = [row("account", "term", "category", "balance", "entries")]
    lines += [
        row(d.account_id, d.term_id, d.category, _plain(d.kept), _plain(d.entries)) for d in differences
    ]
    return "\n".join(lines)


@rules.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the rules as JSON, amounts in hundredths.")
def list_rules(as_json: bool) -> None:
    """Show every rule with its validity."""
    found = rulebook.all_rules()
    if as_json:
        fields = ("id", "rate", "cap_day", "cap_week", "cap_term")
        rows = [
            {name: getattr(rule, name) for name in fields}
            | {"kind": rule.source_kind, "category": rule.category, "district": district}
            | {"valid_from": str(rule.valid_from), "valid_until": rule.valid_until and str(rule.valid_until)}
            for rule, district in found
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    row = "{:>4}  {:<8}  {:>8}  {:>8}  {:>8}  {:>8}  {:<10}  {:<10}  {}".format
    click.echo(row("id", "kind", "rate", "day", "week", "term", "from", "until", "district"))
    for rule, district in found:
        caps = [_plain(cap) for cap in (rule.cap_day, rule.cap_week, rule.cap_term)]
        until = str(rule.valid_until or "-")
        click.echo(
            row(
                rule.id,
                rule.source_kind,
                _plain(rule.rate),
                *caps,
                str(rule.valid_from),
                until,
                district or "*",
            )
        )


@rules.command("add")
@click.option("--kind", type=click.Choice([kind.value for kind in SourceKind]), required=True)
@click.option("--category", type=click.Choice([category.value for category in Category]), default="course")
@click.option("--rate", type=Hundredths(), required=True, help="Credits for one whole unit, e.g. 1 or 0.5.")
@click.option("--cap-day", type=Hundredths(), help="At most this many credits a day.")
@click.option("--cap-week", type=Hundredths(), help="… a week, from Monday.")
@click.option("--cap-term", type=Hundredths(), help="… a term.")
@click.option("--from", "valid_from", type=Day(), required=True, help="First day, YYYY-MM-DD.")
@click.option("--until", "valid_until", type=Day(), help="Last day; without it until the rule is ended.")
@click.option("--district", help="Only for this district; without it the default of all.")
def add(
    kind: str,
    category: str,
    rate: int,
    cap_day: int | None,
    cap_week: int | None,
    cap_term: int | None,
    valid_from: date,
    valid_until: date | None,
    district: str | None,
) -> None:
    """Add a rule for what happens from a day on. What was earned before stays as it is."""
    try:
        rule = rulebook.add_rule(
            Rule(rate, cap_day, cap_week, cap_term),
            kind=SourceKind(kind),
            category=Category(category),
            valid_from=valid_from,
            valid_until=valid_until,
            district=district,
        )
    except RuleRefused as error:
        raise click.ClickException(str(error)) from error
    db.session.commit()
    click.echo(f"Rule {rule.id} is valid from {rule.valid_from} on.")


@rules.command("end")
@click.argument("rule_id", type=int)
@click.option("--on", "last_day", type=Day(), required=True, help="The last day it pays for, YYYY-MM-DD.")
def end(rule_id: int, last_day: date) -> None:
    """End a rule. What it paid stays."""
    try:
        rulebook.end_rule(rule_id, last_day)
    except RuleRefused as error:
        raise click.ClickException(str(error)) from error
    db.session.commit()
    click.echo(f"Rule {rule_id} ends on {last_day}.")


def _plain(hundredths: int | None) -> str:
    return "-" if hundredths is None else f"{Decimal(hundredths) / 100:.2f}"
