"""The tables of the reference say what the code says: no row too many, none too few."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sqlite3
import textwrap
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from tests.docs.pages import DOCS, ROOT, blocks, names, rows

import qonduit
from qonduit import errors, hookspecs, middleware, parts
from qonduit.call import Call
from qonduit.chunk import ChunkChoice
from qonduit.configuration import OTHER_VARIABLES, VARIABLES, ConfigurationFile, ProfileTable
from qonduit.middlewares import Middleware
from qonduit.profile import Profile
from qonduit.provider import Capabilities, ProviderInfo
from qonduit.request import ChatRequest, Request
from qonduit.response import Choice, Response
from qonduit_cache import CachePlugin
from qonduit_cli.app import app
from qonduit_cost.options import BudgetOptions, CostOptions
from qonduit_cost.schema import SCHEMA
from qonduit_dashscope.provider import DashScopeProvider
from qonduit_logging import LoggingPlugin
from qonduit_model_studio.auto import AutoProvider
from qonduit_model_studio.options import ModelStudioOptions
from qonduit_model_studio.temporary_token import TemporaryTokenOptions
from qonduit_openai.provider import OpenAIProvider
from qonduit_qwen.provider import QwenProvider

CODECS: dict[str, ProviderInfo] = {
    "openai": OpenAIProvider.info,
    "qwen": QwenProvider.info,
    "dashscope": DashScopeProvider.info,
}
"""The providers that have a column of their own in the tables, in its order."""
SENDABLE = set(ChatRequest.model_fields) - {"extra_body", "extra_headers", "timeout", "deadline", "tags"}
"""Fields of a chat that a provider takes or does not."""
REFERENCE = DOCS / "reference"
HOOKS = REFERENCE / "hooks.md"


def spelt(model: type[BaseModel], name: str) -> str:
    """A field's default as the tables write it."""
    field = model.model_fields[name]
    if field.is_required():
        return "required"
    match field.get_default(call_default_factory=True):
        case None:
            return "none"
        case bool(value):
            return f"`{str(value).lower()}`"
        case float(value):
            return f"`{value:g}`"
        case str(value):
            return f'`"{value}"`'
        case ():
            return "`[]`"
        case value:
            return f"`{value}`"


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("## A profile", ProfileTable),
        ("### `logging`", LoggingPlugin.Options),
        ("### `cache`", CachePlugin.Options),
        ("### `cost`", CostOptions),
        ("### Budgets", BudgetOptions),
        ("### `temporary-token`", TemporaryTokenOptions),
        ("## Options of `qwen`, `dashscope` and `auto`", ModelStudioOptions),
    ],
)
def test_configuration(heading: str, model: type[BaseModel]) -> None:
    """Each key of the configuration is listed, with its default."""
    listed = {row[0].strip("`"): row[2] for row in rows(REFERENCE / "configuration.md", heading)}
    assert listed == {name: spelt(model, name) for name in model.model_fields}


def test_the_ledger() -> None:
    """Each column of a row is listed with its type, in its order; so is each view and each other table."""
    page = REFERENCE / "ledger.md"
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        columns = [(name, kind.lower()) for _, name, kind, *_ in connection.execute("PRAGMA table_info(attempts)")]
        others = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type <> 'index'")}
    assert [(row[0].strip("`"), row[1]) for row in rows(page, "## The table `attempts`")] == columns
    assert {*names(page, "## Views and other tables"), "attempts"} == others


def test_configuration_file() -> None:
    """Each key of the file's top is listed."""
    assert set(names(REFERENCE / "configuration.md", "## The file")) == set(ConfigurationFile.model_fields)


def test_environment_variables() -> None:
    """Each variable of qonduit's is listed beside the key that it sets; so is each provider's key."""
    page = REFERENCE / "environment.md"
    settings = {row[0].strip("`"): row[1].strip("`") for row in rows(page, "## Settings")}
    assert settings == VARIABLES
    assert set(names(page, "## Which configuration")) == set(OTHER_VARIABLES)
    keys = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows(page, "## Keys")}
    providers = {**CODECS, "auto": AutoProvider.info}
    for variable, listed in keys.items():
        assert listed == {name for name, info in providers.items() if variable in info.key_variables}
    assert set(keys) == {name for info in providers.values() for name in info.key_variables}


def test_regions() -> None:
    """Each region is listed with its host; those that have none of their own are said to."""
    listed = {row[0].strip("`"): row[1].strip("`") for row in rows(REFERENCE / "configuration.md", "## Regions")}
    info = QwenProvider.info
    hosts = {region: url.removeprefix("https://").removesuffix(info.path) for region, url in info.base_urls.items()}
    assert listed == {**hosts, **dict.fromkeys(info.workspace_regions, "a workspace's own only")}


def test_parameters() -> None:
    """Each parameter of a chat is listed, and marked exactly where a provider cannot take it."""
    table = rows(REFERENCE / "parameters.md")[: len(ChatRequest.model_fields)]
    assert sorted(row[0].strip("`") for row in table) == sorted(ChatRequest.model_fields)
    for column, info in enumerate(CODECS.values(), start=2):
        assert {row[0].strip("`") for row in table if row[column] == "-"} == SENDABLE - info.capabilities.parameters


@pytest.mark.parametrize(
    ("heading", "request_type"),
    [
        ("### Embeddings", qonduit.EmbeddingRequest),
        ("### Rerank", qonduit.RerankRequest),
        ("### List of models", qonduit.ModelsRequest),
        ("### Token counts", qonduit.TokenCountRequest),
    ],
)
def test_parameters_of_other_operations(heading: str, request_type: type[Request]) -> None:
    """Each parameter that is the operation's own is listed, and the providers that have the operation are named."""
    page = REFERENCE / "parameters.md"
    assert names(page, heading) == [name for name in request_type.model_fields if name not in Request.model_fields]
    operations = {row[0].strip("`"): row[1:] for row in rows(REFERENCE / "client.md", "## Operations")}
    able = [request_type.operation in info.capabilities.operations for info in CODECS.values()]
    assert [cell == "yes" for cell in operations[request_type.operation]] == able
    assert set(operations) == set().union(*(info.capabilities.operations for info in CODECS.values()))


RESPONSES: list[type[BaseModel]] = [
    qonduit.Response,
    qonduit.ChatResponse,
    Choice,
    qonduit.Message,
    qonduit.ChatChunk,
    ChunkChoice,
    qonduit.Usage,
    qonduit.Cost,
    qonduit.Search,
    qonduit.SearchResult,
    qonduit.EmbeddingResponse,
    qonduit.Embedding,
    qonduit.RerankResponse,
    qonduit.RerankResult,
    qonduit.ModelList,
    qonduit.ListedModel,
    qonduit.TokenCount,
]


@pytest.mark.parametrize("model", RESPONSES)
def test_response(model: type[BaseModel]) -> None:
    """Each field of an answer is listed, of a kind of `Response` those that are its own; so is each property."""
    page, heading = REFERENCE / "response.md", f"## `{model.__name__}`"
    common = Response.model_fields if model is not Response and issubclass(model, Response) else {}
    assert names(page, heading) == [name for name in model.model_fields if name not in common]
    section = page.read_text(encoding="utf-8").partition(f"{heading}\n")[2].partition("\n## ")[0]
    for name, member in vars(model).items():
        if isinstance(member, property | cached_property) and not name.startswith(("_", "model_")):
            assert f"`{name}`" in section, f"{heading} does not tell of {name}"


def test_the_tree_of_errors() -> None:
    """The tree that is shown is the tree of the code."""
    (tree,) = blocks(REFERENCE / "errors.md", "text")
    assert textwrap.indent(tree.code, " " * 4) in (errors.__doc__ or "")
    shown: list[tuple[int, str]] = []
    for line in tree.code.splitlines():
        found = re.search(r"[A-Z]\w+", line)
        assert found is not None
        shown.append((found.start(), found[0]))
    for position, (depth, name) in enumerate(shown[1:], start=1):
        parent = next(other for column, other in reversed(shown[:position]) if column < depth)
        assert getattr(errors, name).__bases__ == (getattr(errors, parent),)
    kinds = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert {name for _, name in shown} == kinds
    assert kinds <= set(qonduit.__all__)


def test_what_an_error_says() -> None:
    """Each attribute of an error is listed."""
    listed = names(REFERENCE / "errors.md", "## What an `APIError` says")
    assert listed == list(vars(errors.APIError("x")))


HOOK_NAMES = [name for name in vars(hookspecs) if name.startswith("qonduit_")]


def test_every_hook_is_listed() -> None:
    """The table of hooks is complete, and says who wins."""
    table = {re.findall(r"`(\w+)`", row[0])[0]: row[2] for row in rows(HOOKS)[: len(HOOK_NAMES)]}
    assert list(table) == HOOK_NAMES
    for name, winner in table.items():
        options = getattr(hookspecs, name).qonduit_spec
        assert winner == ("first result" if options["firstresult"] else "all")


@pytest.mark.parametrize("name", HOOK_NAMES)
def test_a_hook_is_described(name: str) -> None:
    """A hook's heading is its signature, and below it stands an example that implements it."""
    signature = inspect.signature(getattr(hookspecs, name))
    arguments = ", ".join(signature.parameters)
    text = HOOKS.read_text(encoding="utf-8")
    heading = f"## `{name}({arguments}) -> {signature.return_annotation}`\n"
    assert heading in text
    section = text.partition(heading)[2].partition("\n## ")[0]
    assert "```python" in section
    assert f"def {name}(self" in section


def test_the_parts() -> None:
    """Each part is listed with all of its members."""
    table = {row[0]: set(re.findall(r"`(\w+)`", row[1])) for row in rows(HOOKS, "## The parts")}
    listed = {re.findall(r"`(\w+)`", part)[0]: members for part, members in table.items()}
    kinds = {
        name: value
        for name, value in vars(parts).items()
        if inspect.isclass(value) and getattr(value, "_is_protocol", False) and name not in {"Protocol", "Head"}
    }
    assert set(listed) == set(kinds)
    for name, kind in kinds.items():
        members = {member for base in kind.__mro__[:2] for member in vars(base) if not member.startswith("_")}
        assert listed[name] == members, name


def test_the_profile() -> None:
    """The profile that plugins see is the configuration's, with the fields that are listed."""
    own = set(Profile.model_fields) - set(ProfileTable.model_fields)
    assert set(names(HOOKS, "## Profile")) == own
    assert set(ProfileTable.model_fields) - set(Profile.model_fields) == {"api_key", "plugin"}


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("## WireRequest", tuple(field.name for field in dataclasses.fields(qonduit.WireRequest))),
        ("## WireResponse", tuple(field.name for field in dataclasses.fields(qonduit.WireResponse))),
        ("## ProviderInfo", tuple(field.name for field in dataclasses.fields(ProviderInfo))),
        ("## Capabilities", tuple(field.name for field in dataclasses.fields(Capabilities))),
    ],
)
def test_values_of_providers(heading: str, fields: tuple[str, ...]) -> None:
    """Each field of what providers give and get is listed."""
    assert tuple(row[0].strip("`") for row in rows(HOOKS, heading)) == fields


def test_features() -> None:
    """Each operation, kind of part and feature that a provider claims is named."""
    table = {row[0].strip("`"): set(re.findall(r'"(\w+)"', row[1])) for row in rows(HOOKS, "## Capabilities")}
    for name in ("operations", "parts", "features"):
        assert table[name] == set().union(*(getattr(info.capabilities, name) for info in CODECS.values()))


def test_middleware_terms() -> None:
    """Each term of a middleware is listed, with its default."""
    page = REFERENCE / "middleware.md"
    listed = {row[0].strip("`"): row[1].strip("`") for row in rows(page, "## Terms")}
    given = inspect.signature(middleware).parameters
    assert list(listed) == list(given)
    assert set(listed) == set(Middleware.__slots__) - {"function"}
    for name, parameter in given.items():
        empty = parameter.default is inspect.Parameter.empty
        assert listed[name].replace('"', "'") == ("required" if empty else repr(parameter.default))


def test_members_of_a_call() -> None:
    """Each member of a call is listed."""
    listed = {name.partition("(")[0] for name in names(REFERENCE / "middleware.md", "## The call")}
    assert listed == {name for name in dir(Call) if not name.startswith("_")}


def test_client_arguments() -> None:
    """Each argument of a client and of `with_options` is listed."""
    listed = rows(REFERENCE / "client.md")
    given = list(inspect.signature(qonduit.Client).parameters)
    described = [name for row in listed for name in re.findall(r"`(\w+)`", row[0])]
    assert described[: len(given)] == given
    options = ", ".join(inspect.signature(qonduit.Client.with_options).parameters).replace("self", "*")
    assert f"`with_options({options})`" in (REFERENCE / "client.md").read_text(encoding="utf-8")


def test_client_members() -> None:
    """Each public member of a client is listed."""
    text = (REFERENCE / "client.md").read_text(encoding="utf-8").partition("\n## ")[0]
    listed = set(re.findall(r"^\| `(\w+)", text.partition("| member |")[2], re.MULTILINE))
    assert listed == {name for name in dir(qonduit.Client) if not name.startswith("_")}


COMMANDS: dict[str, Any] = getattr(typer.main.get_command(app), "commands")  # noqa: B009  # typer does not say its type


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command(name: str) -> None:
    """Each option of a command is listed."""
    listed = names(REFERENCE / "command-line.md", f"## `qonduit {name}`")
    listed = [option for option in listed if option.startswith("-") or option.isupper()]
    expected = [
        option.upper() if parameter.param_type_name == "argument" else option
        for parameter in COMMANDS[name].params
        for option in (*parameter.opts, *parameter.secondary_opts)
    ]
    assert sorted(listed) == sorted(expected)


def test_the_emulators_own_commands() -> None:
    """Each command for a running emulator is listed with its options, but for those that all have."""
    listed = {
        re.sub(r"[ …]+[A-Z\[].*", "", row[0].strip("`")): set(re.findall(r"`(--?[\w-]+)`", row[1]))
        for row in rows(REFERENCE / "command-line.md", "### Keys and accounts of a running emulator")
    }
    expected = {
        f"{group} {name}": {
            option
            for parameter in command.params
            if parameter.param_type_name == "option" and parameter.name not in {"url", "admin_token"}
            for option in parameter.opts
        }
        for group, commands in COMMANDS["emulator"].commands.items()
        for name, command in commands.commands.items()
    }
    assert listed == expected


def test_the_commands_of_cost() -> None:
    """Each command below `qonduit cost` is listed with its options."""
    listed = {
        row[0].strip("`").partition(" ")[0]: set(re.findall(r"`(--?[\w-]+)`", row[1]))
        for row in rows(REFERENCE / "command-line.md", "## `qonduit cost`")
        if len(row) == 3
    }
    expected = {
        name: {
            option
            for parameter in command.params
            if parameter.name not in {"identity", "model"}
            for option in parameter.opts
        }
        for name, command in COMMANDS["cost"].commands.items()
    }
    assert listed == expected


def test_every_command_is_listed() -> None:
    """The commands on the page are the commands."""
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    assert re.findall(r"^## `qonduit (\w+)`$", text, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("name", CODECS)
def test_a_providers_readme(name: str) -> None:
    """A provider's README names the parameters that it cannot take."""
    page: Path = ROOT / "providers" / f"qonduit_{name}" / "README.md"
    (listed,) = (row[1] for row in rows(page) if row[0] == "takes no")
    refused = SENDABLE - CODECS[name].capabilities.parameters
    assert set(re.findall(r"`(\w+)`", listed)) & set(ChatRequest.model_fields) == refused
