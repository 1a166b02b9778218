"""The command line: what can be said. What is meant is done afterwards, outside of typer, by other modules.

Each command returns a function; so typer only reads the words; errors, Ctrl-C and closed pipes are treated
in one place. The modules behind the commands are imported when they run: `--help` loads none of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from qonduit_cli.caching import cache_app
from qonduit_cli.costs.words import cost_app
from qonduit_cli.emulator_words import Work, emulator_app
from qonduit_cli.output import discard_output, prepare

app = typer.Typer(
    name="qonduit",
    help="One LLM call to any provider: Qwen, DashScope, OpenAI, or any server with OpenAI's wire.",
    epilog="Begin with:  qonduit chat 你好      Look for mistakes with:  qonduit doctor",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(emulator_app, name="emulator")
app.add_typer(cache_app, name="cache")
app.add_typer(cost_app, name="cost")

Profile = Annotated[str | None, typer.Option("--profile", "-p", metavar="NAME", help="A profile of the configuration.")]
Provider = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="A provider, without a configuration: see 'plugins'."),
]
Model = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME", help="The model to ask.")]
BaseURL = Annotated[str | None, typer.Option("--base-url", metavar="URL", help="Where the provider's API answers.")]
Region = Annotated[str | None, typer.Option("--region", metavar="NAME", help="The provider's region.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        help="Where the key is: env:NAME, file:PATH, keyring:SERVICE/NAME.",
    ),
]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The configuration file.")]


def run(arguments: Sequence[str] | None = None) -> int:
    """Read the words and do what they mean; returns the exit code."""
    prepare()
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        work: Any = app(words, prog_name="qonduit", standalone_mode=False)
        code = work() if callable(work) else int(work or 0)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # the end of the line: no traceback reaches a user
        from qonduit_cli.failures import report

        code = report(error)
        discard_output()
        return code
    return int(code)


def _print_version(wanted: bool) -> None:
    if wanted:
        from qonduit import __version__

        typer.echo(f"qonduit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and leave.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Options before any command."""


@app.command()
def chat(
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="The question; without one, standard input."),
    ] = None,
    *,
    profile: Profile = None,
    provider: Provider = None,
    model: Model = None,
    system: Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="A system message.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("-o", metavar="KEY=VALUE", help="A parameter, as JSON or text: -o temperature=0.2"),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream/--no-stream", help="Write the answer as it comes, or whole.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole response as JSON.")] = False,
    reasoning: Annotated[
        bool, typer.Option("--reasoning", help="Show the model's reasoning, on standard error.")
    ] = False,
    base_url: BaseURL = None,
    region: Region = None,
    api_key: Key = None,
    config: Config = None,
) -> Work:
    """Ask a model. Without configuration and key the built-in emulator answers."""

    def work() -> int:
        from qonduit_cli import chat as command
        from qonduit_cli.selection import Target

        target = Target(
            profile=profile,
            provider=provider,
            model=model,
            base_url=base_url,
            region=region,
            api_key=api_key,
            config=config,
        )
        display = command.Display(stream=stream, as_json=as_json, reasoning=reasoning)
        return command.chat(target, prompt, system, option or (), display)

    return work


@app.command()
def profiles(config: Config = None) -> Work:
    """List the profiles of the configuration."""

    def work() -> int:
        from qonduit_cli.inventory import list_profiles

        return list_profiles(config)

    return work


@app.command()
def plugins(profile: Profile = None, config: Config = None) -> Work:
    """List what is installed, and what the profile uses."""

    def work() -> int:
        from qonduit_cli.inventory import list_plugins

        return list_plugins(profile, config)

    return work


@app.command()
def trust(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file, or its folder.", show_default=False)] = Path(
        "qonduit.toml"
    ),
) -> Work:
    """Trust the qonduit.toml of a folder."""

    def work() -> int:
        from qonduit_cli.trusting import remember

        return remember(path)

    return work


@app.command()
def doctor(
    *,
    profile: Profile = None,
    provider: Provider = None,
    base_url: BaseURL = None,
    region: Region = None,
    api_key: Key = None,
    config: Config = None,
) -> Work:
    """Check the set-up; prints no key, sends one small request."""

    def work() -> int:
        from qonduit_cli.doctor import examine
        from qonduit_cli.selection import Target

        return examine(
            Target(
                profile=profile,
                provider=provider,
                base_url=base_url,
                region=region,
                api_key=api_key,
                config=config,
            )
        )

    return work
