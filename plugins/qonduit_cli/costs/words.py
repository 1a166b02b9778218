"""The words after `qonduit cost`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qonduit_cli.emulator_words import Work, refuse_options

cost_app = typer.Typer(name="cost", rich_markup_mode=None, add_completion=False)

Profile = Annotated[str | None, typer.Option("--profile", "-p", metavar="NAME", help="Only calls of this profile.")]
Ledger = Annotated[Path | None, typer.Option("--ledger", metavar="FILE", help="The ledger, if not the profile's.")]
TimeZone = Annotated[
    str | None, typer.Option("--timezone", metavar="NAME", help="Such as Asia/Shanghai, if not this machine's.")
]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The configuration file.")]


@cost_app.callback(invoke_without_command=True)
def cost(
    context: typer.Context,
    *,
    by: Annotated[
        str,
        typer.Option("--by", metavar="WHAT", help="day, week, month, model, provider, profile or tag:NAME."),
    ] = "day",
    since: Annotated[str | None, typer.Option("--since", metavar="DAY", help="From this day or time on.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DAY", help="To the end of this day.")] = None,
    profile: Profile = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Only calls of this model.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Only calls with this tag.")
    ] = None,
    currency: Annotated[
        str | None, typer.Option("--currency", metavar="CODE", help="In one currency, by the configured rates.")
    ] = None,
    timezone: TimeZone = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts, one file.")
    ] = None,
    ledger: Ledger = None,
    config: Config = None,
) -> Work:
    """What calls have cost, from the ledger of the plugin 'cost'."""

    def work() -> int:
        from qonduit_cli.costs.command import Query, show_report
        from qonduit_cli.failures import UsageError

        if as_csv + as_json + (html is not None) > 1:
            raise UsageError("--csv, --json and --html are three forms of one report: choose one.")
        query = Query(
            by=by,
            since=since,
            until=until,
            profile=profile,
            model=model,
            tags=tag or (),
            timezone=timezone,
            currency=currency,
        )
        return show_report(query, "csv" if as_csv else "json" if as_json else "text", html, ledger, config)

    if context.invoked_subcommand is not None:
        refuse_options(context, "qonduit cost explain ID")
    return work


@cost_app.command()
def explain(
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="A row's number, a call's id or how it begins, or a request id.")
    ],
    *,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", metavar="NAME", help="The profile whose ledger it is.")
    ] = None,
    timezone: TimeZone = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ledger: Ledger = None,
    config: Config = None,
) -> Work:
    """Show the sum of one call line by line."""

    def work() -> int:
        from qonduit_cli.costs.command import show_explanation

        return show_explanation(identity, timezone, profile, ledger, config, as_json=as_json)

    return work


@cost_app.command()
def settle(
    *,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", metavar="NAME", help="The profile whose ledger it is.")
    ] = None,
    ledger: Ledger = None,
    config: Config = None,
) -> Work:
    """Settle what processes left open that are gone, as the next call would."""

    def work() -> int:
        from qonduit_cli.costs.command import settle as settle_gone

        return settle_gone(profile, ledger, config)

    return work


@cost_app.command()
def prices(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")],
    *,
    region: Annotated[str | None, typer.Option("--region", metavar="NAME", help="Only prices of this region.")] = None,
    file: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="A price file of your own, as the option 'prices'.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> Work:
    """Show what a model costs, where, since when and by which source."""

    def work() -> int:
        from qonduit_cli.prices import show_prices

        return show_prices(model, region=region, prices=file, as_json=as_json)

    return work
