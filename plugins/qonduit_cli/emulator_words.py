"""The words after `qonduit emulator`: how one is started, and how a running one is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

Work = Callable[[], int]

TOKEN_VARIABLE = "QONDUIT_EMULATOR_ADMIN_TOKEN"  # noqa: S105 - a name

emulator_app = typer.Typer(name="emulator", rich_markup_mode=None, add_completion=False)
keys_app = typer.Typer(help="The keys of a running emulator.", no_args_is_help=True, rich_markup_mode=None)
accounts_app = typer.Typer(help="The accounts of a running emulator.", no_args_is_help=True, rich_markup_mode=None)
emulator_app.add_typer(keys_app, name="keys")
emulator_app.add_typer(accounts_app, name="accounts")

URL = Annotated[str, typer.Option("--url", metavar="URL", help="Where the emulator answers.")]
Token = Annotated[
    str | None,
    typer.Option("--admin-token", metavar="TOKEN", envvar=TOKEN_VARIABLE, help="The emulator's admin token."),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
KeyName = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]
AccountName = Annotated[str, typer.Argument(metavar="NAME", help="The account.")]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="Such as token_quota=1000, requests_per_minute=60 or state=none."),
]
ForModel = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME", help="Set the limits of one model.")]

DEFAULT_URL = "http://127.0.0.1:8765"


@emulator_app.callback(invoke_without_command=True)
def emulator(
    context: typer.Context,
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0 takes a free one.")] = 8765,
    api_key: Annotated[
        str | None, typer.Option("--api-key", metavar="KEY", help="A key to let in, if not the usual one.")
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow an address that other machines can reach.")
    ] = False,
    config_file: Annotated[
        Path | None, typer.Option("--config-file", metavar="FILE", help="Its accounts, keys and limits, in TOML.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="Keep keys, accounts and what they used in this file."),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Turn the admin API on, for 'keys' and 'accounts'; prints its token.")
    ] = False,
    admin_token: Annotated[
        str | None,
        typer.Option("--admin-token", metavar="TOKEN", help=f"That token, with --admin; or set {TOKEN_VARIABLE}."),
    ] = None,
) -> Work:
    """Run a local DashScope, without cost, until Ctrl-C."""

    def work() -> int:
        from qonduit_cli.serving import Service, serve_emulator

        return serve_emulator(
            Service(
                host=host,
                port=port,
                api_key=api_key,
                allow_remote=allow_remote,
                config_file=config_file,
                state_file=state,
                admin=admin,
                admin_token=admin_token,
            )
        )

    if context.invoked_subcommand is not None:
        refuse_options(context, "qonduit emulator keys list")
    return work


def refuse_options(context: typer.Context, command: str) -> None:
    """Options before a command's last word would be passed over. Raises: UsageError."""
    from qonduit_cli.failures import UsageError

    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if str(getattr(context.get_parameter_source(parameter.name or ""), "name", "")) == "COMMANDLINE"
    ]
    if given:
        raise UsageError(f"{given[0]} stands after the last word: {command} {given[0]} …")


@keys_app.command("list")
def list_keys(url: URL = DEFAULT_URL, admin_token: Token = None, as_json: AsJSON = False) -> Work:
    """List all keys."""

    def work() -> int:
        from qonduit_cli.administration import Admin, show_keys

        return show_keys(Admin(url, admin_token), as_json=as_json)

    return work


@keys_app.command("add")
def add_key(
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="The key; without one, a new one.")] = None,
    account: Annotated[str | None, typer.Option(metavar="NAME", help="Whose it is, if not 'default'.")] = None,
    expires_in: Annotated[float | None, typer.Option(metavar="SECONDS", help="How long it is valid.")] = None,
    region: Annotated[str | None, typer.Option(metavar="NAME", help="Where alone it is valid.")] = None,
    workspace: Annotated[str | None, typer.Option(metavar="ID", help="The workspace it belongs to.")] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", metavar="NAME", help="A model it may call; all, if none.")
    ] = None,
    url: URL = DEFAULT_URL,
    admin_token: Token = None,
) -> Work:
    """Add a key, and print it."""

    def work() -> int:
        from qonduit_cli.administration import Admin
        from qonduit_cli.administration import add_key as command

        given = {
            "key": key,
            "account": account,
            "expires_in_seconds": expires_in,
            "region": region,
            "workspace": workspace,
            "allowed_models": model or None,
        }
        return command(Admin(url, admin_token), {name: value for name, value in given.items() if value is not None})

    return work


def _change_key(url: str, token: str | None, key: str, **changes: object) -> Work:
    def work() -> int:
        from qonduit_cli.administration import Admin, change_key

        return change_key(Admin(url, token), key, changes)

    return work


@keys_app.command("disable")
def disable_key(key: KeyName, url: URL = DEFAULT_URL, admin_token: Token = None) -> Work:
    """Refuse a key from now on."""
    return _change_key(url, admin_token, key, state="disabled")


@keys_app.command("enable")
def enable_key(key: KeyName, url: URL = DEFAULT_URL, admin_token: Token = None) -> Work:
    """Let a key in again."""
    return _change_key(url, admin_token, key, state="active", expires_at=None)


@keys_app.command("expire")
def expire_key(
    key: KeyName,
    seconds: Annotated[float, typer.Option("--in", metavar="SECONDS", help="When; now, if not given.")] = 0,
    url: URL = DEFAULT_URL,
    admin_token: Token = None,
) -> Work:
    """Let a key expire."""
    return _change_key(url, admin_token, key, expires_in_seconds=seconds)


@keys_app.command("remove")
def remove_key(key: KeyName, url: URL = DEFAULT_URL, admin_token: Token = None) -> Work:
    """Forget a key."""

    def work() -> int:
        from qonduit_cli.administration import Admin, remove

        return remove(Admin(url, admin_token), "keys", key)

    return work


@accounts_app.command("list")
def list_accounts(url: URL = DEFAULT_URL, admin_token: Token = None, as_json: AsJSON = False) -> Work:
    """List all accounts, and what they have used."""

    def work() -> int:
        from qonduit_cli.administration import Admin, show_accounts

        return show_accounts(Admin(url, admin_token), as_json=as_json)

    return work


@accounts_app.command("add")
def add_account(
    name: AccountName,
    settings: Settings = None,
    model: ForModel = None,
    url: URL = DEFAULT_URL,
    admin_token: Token = None,
) -> Work:
    """Add an account."""

    def work() -> int:
        from qonduit_cli.administration import Admin
        from qonduit_cli.administration import add_account as command

        return command(Admin(url, admin_token), name, settings or (), model)

    return work


@accounts_app.command("set")
def set_account(
    name: AccountName,
    settings: Settings = None,
    model: ForModel = None,
    url: URL = DEFAULT_URL,
    admin_token: Token = None,
) -> Work:
    """Change an account; 'none' takes a setting away."""

    def work() -> int:
        from qonduit_cli.administration import Admin
        from qonduit_cli.administration import set_account as command

        return command(Admin(url, admin_token), name, settings or (), model)

    return work


@accounts_app.command("freeze")
def freeze_account(name: AccountName, url: URL = DEFAULT_URL, admin_token: Token = None) -> Work:
    """Refuse all calls of an account."""

    def work() -> int:
        from qonduit_cli.administration import Admin
        from qonduit_cli.administration import set_account as command

        return command(Admin(url, admin_token), name, ["state=frozen"], None)

    return work


@accounts_app.command("activate")
def activate_account(name: AccountName, url: URL = DEFAULT_URL, admin_token: Token = None) -> Work:
    """Bring an account back into good standing."""

    def work() -> int:
        from qonduit_cli.administration import Admin
        from qonduit_cli.administration import set_account as command

        return command(Admin(url, admin_token), name, ["state=active"], None)

    return work


@accounts_app.command("reset")
def reset_account(name: AccountName, url: URL = DEFAULT_URL, admin_token: Token = None) -> Work:
    """Forget what an account has used."""

    def work() -> int:
        from qonduit_cli.administration import Admin, reset

        return reset(Admin(url, admin_token), name)

    return work


@accounts_app.command("remove")
def remove_account(name: AccountName, url: URL = DEFAULT_URL, admin_token: Token = None) -> Work:
    """Forget an account."""

    def work() -> int:
        from qonduit_cli.administration import Admin, remove

        return remove(Admin(url, admin_token), "accounts", name)

    return work
