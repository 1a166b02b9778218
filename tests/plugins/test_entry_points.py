"""Plugins and providers of other distributions: found by name, imported when named."""

from __future__ import annotations

import sys
import textwrap

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import MESSAGES
from tests.plugins.conftest import Stranger

from qonduit import Client, ConfigurationError, PluginError

PLUGIN = textwrap.dedent(
    """
    from pydantic import BaseModel, ConfigDict
    from qonduit import hookimpl, middleware

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        word: str = "none"

    class Stamp:
        Options = Options

        def __init__(self, options):
            self.word = options.word

        @hookimpl
        def qonduit_middleware(self, profile):
            @middleware("stamp")
            def stamp(call):
                response = yield call.request
                return response.replace(warnings=(*response.warnings, self.word))
            return stamp
    """
)

PROVIDER = textwrap.dedent(
    """
    from pydantic import BaseModel, ConfigDict
    from qonduit import hookimpl
    from qonduit.provider import ProviderInfo
    from qonduit.response import ChatResponse
    from qonduit.wire import WireRequest

    class Echo:
        info = ProviderInfo(
            key_variables=("ECHO_KEY",), base_urls={"": "https://echo.example/v1"}, hosts=("echo.example",)
        )

        class Options(BaseModel):
            model_config = ConfigDict(extra="forbid")
            loud: bool = False

        def __init__(self, options):
            self.options = options

        @hookimpl
        def qonduit_request_builder(self, profile):
            return self

        def build(self, request):
            text = request.messages[-1].text
            text = text.upper() if self.options.loud else text
            return WireRequest("POST", "https://echo.example/v1", {}, text.encode())

        @hookimpl
        def qonduit_response_normalizer(self, profile):
            return self

        def normalize(self, request, response):
            message = {"role": "assistant", "content": response.request.content.decode()}
            return ChatResponse.model_validate({"choices": [{"message": message}], "provider": "echo"})

        def decoder(self, request, response):
            raise NotImplementedError

        def error(self, response):
            raise NotImplementedError
    """
)


def client(*plugins: object, **options: object) -> Client:
    given = {"provider": "qwen", "model": "qwen-plus", "api_key": "sk-test", **options}
    return Client(plugins=[*plugins, MemoryTransport(said("Hi"))], **given)


@pytest.mark.F68
def test_only_what_is_named_is_imported(stranger: Stranger) -> None:
    """Of a distribution's plugins only the one that a profile names is imported, and used with its options."""
    points = {"stamp": "stranger_stamp:Stamp", "other": "stranger_other:Other"}
    stranger("stranger", {"qonduit.plugins": points}, stranger_stamp=PLUGIN, stranger_other="1 / 0")
    client()
    assert "stranger_stamp" not in sys.modules
    answer = client(("stamp", {"word": "seen"})).chat.completions.create(messages=MESSAGES)
    assert answer.warnings == ("seen",)
    assert "stranger_other" not in sys.modules


def test_a_profile_names_a_plugin_with_options(stranger: Stranger, tmp_path) -> None:
    """A profile of a named file may name a stranger's plugin, with its table of options."""
    stranger("stranger", {"qonduit.plugins": {"stamp": "stranger_stamp:Stamp"}}, stranger_stamp=PLUGIN)
    file = tmp_path / "named.toml"
    file.write_text(
        '[profiles.p]\nprovider = "qwen"\nmodel = "m"\napi_key = "env:KEY"\nplugins = ["stamp"]\n'
        '[profiles.p.plugin.stamp]\nwrd = "x"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEY", "sk-test")
        with pytest.raises(ConfigurationError) as caught:
            Client("p", config=file)
        assert f"{file}: profiles.p.plugin.stamp: wrd: is not known" in str(caught.value)
        assert "did you mean 'word'?" in str(caught.value)
        file.write_text(file.read_text().replace("wrd", "word"))
        assert Client("p", config=file).profile.plugins == ("stamp",)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import missing_module_of_the_test", r"cannot be imported: ModuleNotFoundError"),
        ("1 / 0", r"cannot be imported: ZeroDivisionError"),
        ("Stump = 1", r"cannot be imported: AttributeError"),
        ("class Stamp:\n    Options = dict", r"its Options is no pydantic model"),
        ("class Stamp:\n    def __init__(self):\n        1 / 0", r"cannot be built: ZeroDivisionError"),
    ],
)
def test_a_plugin_that_cannot_be_loaded(stranger: Stranger, source: str, text: str) -> None:
    """A plugin that cannot be loaded is named with its distribution and version."""
    stranger("stranger", {"qonduit.plugins": {"stamp": "stranger_stamp:Stamp"}}, stranger_stamp=source)
    with pytest.raises(PluginError, match=text) as caught:
        client("stamp")
    assert "plugin 'stamp' (stranger 2.5)" in str(caught.value)


@pytest.mark.F73
def test_a_broken_hook_names_the_distribution(stranger: Stranger) -> None:
    """A misspelt hook of an installed plugin names the plugin and the distribution that it comes from."""
    source = PLUGIN.replace("qonduit_middleware", "qonduit_midleware")
    stranger("stranger", {"qonduit.plugins": {"stamp": "stranger_stamp:Stamp"}}, stranger_stamp=source)
    with pytest.raises(PluginError, match=r"did you mean 'qonduit_middleware'") as caught:
        client("stamp")
    assert "stamp" in str(caught.value)
    assert "stranger 2.5" in str(caught.value)


@pytest.mark.F73
def test_one_name_of_two_distributions(stranger: Stranger) -> None:
    """A name that two distributions offer is refused with both of their names."""
    for name in ("stranger_a", "stranger_b"):
        stranger(name, {"qonduit.plugins": {"stamp": "stranger_stamp:Stamp"}}, stranger_stamp=PLUGIN)
    with pytest.raises(PluginError, match=r"'stamp' is offered by several distributions: stranger_a, stranger_b"):
        client("stamp")


@pytest.mark.F74
def test_bundled_names_are_reserved(stranger: Stranger) -> None:
    """A stranger cannot take the name of a bundled plugin or provider."""
    points = {"qonduit.plugins": {"cache": "stranger_bad:X"}, "qonduit.providers": {"qwen": "stranger_bad:X"}}
    stranger("stranger", points, stranger_bad="1 / 0")
    assert [found.name for found in client("cache").middleware] == ["cache"]
    assert "stranger_bad" not in sys.modules


def test_a_strangers_provider(stranger: Stranger) -> None:
    """A provider of another distribution serves a client that names it."""
    stranger("stranger", {"qonduit.providers": {"echo": "stranger_echo:Echo"}}, stranger_echo=PROVIDER)
    answer = client(provider="echo").chat.completions.create(messages=MESSAGES)
    assert (answer.text, answer.provider) == ("Hello", "echo")


def test_a_strangers_providers_options(stranger: Stranger, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider's own table of options is checked against its model and handed over."""
    stranger("stranger", {"qonduit.providers": {"echo": "stranger_echo:Echo"}}, stranger_echo=PROVIDER)
    monkeypatch.setenv("ECHO_KEY", "sk-test")
    file = tmp_path / "named.toml"
    file.write_text('[profiles.p]\nprovider = "echo"\nmodel = "m"\n[profiles.p.options]\nloud = true\n')
    made = Client("p", config=file, plugins=[MemoryTransport(said("Hi"))])
    assert made.chat.completions.create(messages=MESSAGES).text == "HELLO"
    assert made.profile.options == {"loud": True}
    file.write_text(file.read_text().replace("loud", "lout"))
    with pytest.raises(ConfigurationError, match=r"profiles\.p\.options: lout: is not known.*did you mean 'loud'"):
        Client("p", config=file)


@pytest.mark.parametrize(("name", "near"), [("qwem", "qwen"), ("dashscop", "dashscope"), ("open-ai", "openai")])
def test_an_unknown_provider_shows_the_nearest(name: str, near: str) -> None:
    """An unknown provider is an error with the nearest name."""
    with pytest.raises(ConfigurationError, match=rf"Provider '{name}' is not known.*did you mean '{near}'"):
        client(provider=name)
