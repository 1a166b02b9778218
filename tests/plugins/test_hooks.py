"""What a plugin must look like, and which of several wins."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import MESSAGES

from qonduit import ChatRequest, Client, PluginError, WireRequest, hookimpl, middleware
from qonduit._plugins import load
from qonduit.auth import BearerAuth
from qonduit.errors import ConfigurationError
from qonduit.hookspecs import qonduit_middleware
from qonduit.retry import ExponentialRetry


def client(*plugins: Any, **options: Any) -> Client:
    given = {"provider": "qwen", "model": "qwen-plus", "api_key": "sk-test", **options}
    return Client(plugins=plugins, **given)


def layer(name: str) -> Any:
    @middleware(name)
    def through(call):
        call.state.setdefault("path", []).append(name)
        return (yield call.request)

    return through


class Misspelt:
    @hookimpl
    def qonduit_midleware(self, profile):
        return layer("x")


class Unmarked:
    def qonduit_middleware(self, profile):
        return layer("x")


class WrongSignature:
    @hookimpl
    def qonduit_middleware(self, profil):
        return layer("x")


class NoHook:
    def middleware(self):
        return layer("x")


class NoOptions:
    @hookimpl
    def qonduit_middleware(self, profile):
        return layer("x")


class AsyncMiddleware:
    @hookimpl
    async def qonduit_middleware(self, profile):
        return layer("x")


class AsyncTransport:
    @hookimpl
    async def qonduit_transport(self, profile):
        return MemoryTransport(said("x"))


class TextTransport:
    @hookimpl
    def qonduit_transport(self, profile):
        return "text"


class HalfTransport:
    @hookimpl
    def qonduit_transport(self, profile):
        return type("Half", (), {"send": None, "close": None})()


class TextMiddleware:
    @hookimpl
    def qonduit_middleware(self, profile):
        return "text"


class FunctionMiddleware:
    @hookimpl
    def qonduit_middleware(self, profile):
        return lambda call: None


class ListOfFunctions:
    @hookimpl
    def qonduit_middleware(self, profile):
        return [layer("x"), lambda call: None]


class NumberPolicy:
    @hookimpl
    def qonduit_retry_policy(self, profile):
        return 3


@pytest.mark.F73
@pytest.mark.F76
@pytest.mark.parametrize(
    ("plugin", "texts"),
    [
        (Misspelt(), ["no hook 'qonduit_midleware'", "did you mean 'qonduit_middleware'?"]),
        (Unmarked(), ["qonduit_middleware lacks the mark @hookimpl", "Add it"]),
        (WrongSignature(), ["wrong signature", "profil"]),
        (NoHook(), ["NoHook implements no hook", "qonduit_transport"]),
        (object(), ["object implements no hook"]),
        (lambda call: None, ["implements no hook", "@middleware"]),
        (AsyncMiddleware(), ["qonduit_middleware", "is an async function", "'def'"]),
        (AsyncTransport(), ["qonduit_transport", "is an async function", "'def'"]),
        (TextTransport(), ["qonduit_transport", "gave str; expected a Transport with: aclose, asend"]),
        (HalfTransport(), ["gave Half; expected a Transport"]),
        (TextMiddleware(), ["qonduit_middleware", "gave str; expected a Middleware, made by @middleware"]),
        (FunctionMiddleware(), ["gave function; expected a Middleware, made by @middleware"]),
        (ListOfFunctions(), ["gave function; expected a Middleware, made by @middleware"]),
        (NumberPolicy(), ["gave int; expected a RetryPolicy with: delay"]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, list) else "",
)
def test_a_broken_plugin_stops_the_build(plugin: Any, texts: list[str]) -> None:
    """A plugin that breaks the contract of the hooks is a PluginError that names it, the hook and the mend."""
    with pytest.raises(PluginError) as caught:
        client(layer("fine"), plugin)
    message = str(caught.value)
    assert type(plugin).__name__ in message
    for text in texts:
        assert text in message


@pytest.mark.F73
@pytest.mark.parametrize(
    "plugins",
    [
        ("logging", "logging"),
        (("cache", {}), "cache"),
        (MemoryTransport(said("x")), MemoryTransport(said("x"))),
        (layer("x"), layer("x")),
    ],
)
def test_a_plugin_named_twice(plugins: Any) -> None:
    """Two plugins of one name stop the build."""
    with pytest.raises(PluginError, match=r"named twice"):
        client(*plugins)


@pytest.mark.F74
def test_the_first_named_wins() -> None:
    """Of plugins that give a part, the first named wins, before the provider and the defaults."""
    first, second = MemoryTransport(said("first")), MemoryTransport(said("second"))
    first.name, second.name = "one", "two"
    answer = client(first, second).chat.completions.create(messages=MESSAGES)
    assert answer.text == "first"


def test_none_leaves_it_to_the_next() -> None:
    """A hook that gives None leaves the part to the next plugin, the provider or the defaults."""

    class Undecided:
        @hookimpl
        def qonduit_transport(self, profile):
            return None

        @hookimpl
        def qonduit_middleware(self):
            return None

    answer = client(Undecided(), MemoryTransport(said("next"))).chat.completions.create(messages=MESSAGES)
    assert answer.text == "next"


@pytest.mark.F74
def test_plugins_come_before_the_provider() -> None:
    """A plugin's request builder, auth and normalizer take the place of the provider's and the default's."""

    class Own:
        @hookimpl
        def qonduit_request_builder(self, profile):
            return self

        def build(self, request: ChatRequest) -> WireRequest:
            return WireRequest("POST", "https://x/", {"x-own": "1"}, b"{}", request.stream)

        @hookimpl
        def qonduit_auth(self, profile, credentials):
            assert isinstance(credentials.value, str)
            return self

        def flow(self, wire):
            yield wire.with_headers({"x-key": "signed"})

    transport = MemoryTransport(said("Hi"))
    client(Own(), transport).chat.completions.create(messages=MESSAGES)
    assert transport.sent[0].headers == {"x-own": "1", "x-key": "signed"}


def test_a_wrapper_decorates_the_transport() -> None:
    """pluggy's `wrapper=True` decorates a part, whichever plugin gives it."""
    sent: list[str] = []

    class Counting:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def send(self, wire, deadline):
            sent.append(wire.url)
            return self._inner.send(wire, deadline)

    class Wrapper:
        @hookimpl(wrapper=True)
        def qonduit_transport(self, profile):
            transport = yield
            counting = Counting(transport)
            for name in ("asend", "stream", "astream", "close", "aclose"):
                setattr(counting, name, getattr(transport, name))
            return counting

    made = client(Wrapper(), MemoryTransport(said("Hi")), base_url="https://x.aliyuncs.com/v1")
    assert made.chat.completions.create(messages=MESSAGES).text == "Hi"
    assert sent == ["https://x.aliyuncs.com/v1/chat/completions"]


def test_a_hook_that_raises_stops_the_build() -> None:
    """What a hook raises while the client is built reaches the caller as it is."""

    class Failing:
        @hookimpl
        def qonduit_middleware(self, profile):
            raise ConfigurationError("not here")

    with pytest.raises(ConfigurationError, match="not here"):
        client(Failing())


def test_hooks_are_called_when_the_client_is_built() -> None:
    """Every hook is called once, when the client is built, and never by a call."""
    asked: list[str] = []

    class Counting:
        @hookimpl
        def qonduit_middleware(self, profile):
            asked.append(profile.name)
            return layer("x")

    made = client(Counting(), MemoryTransport(said("Hi")))
    for _ in range(3):
        made.chat.completions.create(messages=MESSAGES)
    assert asked == ["qwen"]


def test_every_way_to_name_a_plugin() -> None:
    """A name, a pair of name and options, an object and a bare middleware, outermost first."""

    class Thing:
        name = "thing"

        @hookimpl
        def qonduit_middleware(self):
            return layer("from object")

    made = client("logging", ("cache", {"ttl": 5}), Thing(), layer("bare"))
    assert made.profile.plugins == ("logging", "cache", "thing", "bare")
    names = [found.name for found in made.middleware]
    assert names == ["logging", "cache", "from object", "bare", "logging.attempt"]


@pytest.mark.parametrize("plugins", ["logging", b"logging"])
def test_plugins_is_a_list(plugins: Any) -> None:
    """A single name in place of a list is refused with the list that was meant."""
    with pytest.raises(ConfigurationError, match=r"plugins: expected a list, e\.g\. plugins=\[b?'logging'\]"):
        Client(provider="qwen", api_key="sk-test", plugins=plugins)


@pytest.mark.parametrize("pair", [("cache",), ("cache", {}, 1), ("cache", None), (1, {}), ()])
def test_a_pair_is_a_name_and_options(pair: tuple[Any, ...]) -> None:
    """A tuple that is no pair of a name and options is refused."""
    with pytest.raises(ConfigurationError, match=r"a pair must be a name and a mapping of options"):
        client(pair)


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"tll": 3}, ["tll: is not known … did you mean 'ttl'?"]),
        ({"ttl": "hot"}, ["ttl: expected a number"]),
        ({"ttl": -1}, ["ttl: ", "expected more than 0"]),
        ({"max_entries": 1.5}, ["max_entries: expected a whole number"]),
        ({"ttl": "x", "max": 1}, ["ttl: expected a number", "max: is not known"]),
    ],
)
def test_wrong_options_name_the_plugin_and_the_option(options: dict[str, Any], texts: list[str]) -> None:
    """A wrong or unknown option names the plugin, the option, what was expected and the nearest name."""
    with pytest.raises(ConfigurationError) as caught:
        client(("cache", options))
    for text in ["plugins: 'cache'", *texts]:
        assert all(part in str(caught.value) for part in text.split(" … "))


def test_a_plugin_without_options_takes_none() -> None:
    """Options for a plugin that takes none are refused."""
    point = EntryPoint("plain", "tests.plugins.test_hooks:NoOptions", "qonduit.plugins")
    with pytest.raises(ConfigurationError, match=r"plugin 'plain' takes no options, but has: currency"):
        load(point, "plugin", {"currency": "EUR"}, "plugins: 'plain'")


@pytest.mark.parametrize(("name", "hint"), [("cahce", "did you mean 'cache'"), ("zzz", "known: cache, cost, logging")])
def test_an_unknown_plugin_shows_the_nearest(name: str, hint: str) -> None:
    """An unknown plugin is an error with the nearest name, or with all that are known."""
    with pytest.raises(ConfigurationError, match=rf"Plugin '{name}' is not known") as caught:
        client(name)
    assert hint in str(caught.value)


def test_the_defaults() -> None:
    """Without plugins the parts are the bearer key, httpx and the exponential retry."""
    route = client()._routes[0]
    assert isinstance(route.auth, BearerAuth)
    assert isinstance(route.retry_policy, ExponentialRetry)
    assert type(route.transport).__module__ == "qonduit._http"


def test_a_clients_plugins_are_its_own() -> None:
    """There is no module-level manager: two clients share no plugin."""
    one, two = client(layer("one")), client(layer("two"))
    assert [found.name for found in one.middleware] == ["one"]
    assert [found.name for found in two.middleware] == ["two"]


def test_an_argument_may_be_left_out() -> None:
    """A hook may leave out the arguments that it does not use; the spec shows how it is written."""

    class Short:
        @hookimpl
        def qonduit_middleware(self):
            return layer("short")

    assert [found.name for found in client(Short()).middleware] == ["short"]
    assert "@hookimpl" in qonduit_middleware.__doc__


def test_a_class_in_place_of_a_plugin() -> None:
    """A plugin class that was not called is named as what it is."""

    class Whole:
        @hookimpl
        def qonduit_middleware(self) -> None:
            """Nothing."""

    with pytest.raises(PluginError, match=r"Whole is a class\. Pass what it makes: Whole"):
        client(Whole)
