"""The order of middleware, by `wraps` and `wrapped_by`."""

import pytest
from tests.pipeline.layers import recorder
from tests.pipeline.memory import MemoryTransport, said
from tests.pipeline.modes import MESSAGES

from qonduit import Client, Middleware, PluginError, hookimpl, middleware


def layer(name: str, wraps: tuple[str, ...] | str = (), wrapped_by: tuple[str, ...] | str = ()) -> Middleware:
    return recorder(name, [], wraps=wraps, wrapped_by=wrapped_by)


def order(*layers: object) -> list[str]:
    client = Client(provider="qwen", api_key="sk-test", plugins=[*layers, MemoryTransport(said("Hi"))])
    return [found.name for found in client.middleware]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([layer("a"), layer("b"), layer("c")], "abc"),
        ([layer("a"), layer("b", wraps=("a",))], "ba"),
        ([layer("a", wrapped_by="b"), layer("b")], "ba"),
        ([layer("a"), layer("b"), layer("c", wraps="b")], "acb"),
        ([layer("a", wrapped_by=("c",)), layer("b"), layer("c")], "bca"),
        ([layer("a", wraps=("absent",), wrapped_by=("nobody",)), layer("b")], "ab"),
        ([layer("c", wrapped_by="b"), layer("b", wrapped_by="a"), layer("a")], "abc"),
    ],
)
def test_constraints_move_as_little_as_they_must(layers: list[Middleware], expected: str) -> None:
    """The list's order holds where no constraint speaks; names that are absent ask for nothing."""
    assert order(*layers) == list(expected)


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ([layer("a", wraps="b"), layer("b", wraps="a")], "a wraps b wraps a"),
        ([layer("a", wraps="b", wrapped_by="b"), layer("b")], "a wraps b wraps a"),
        ([layer("a", wraps="a")], "a wraps a"),
        (
            [layer("x"), layer("a", wraps="b"), layer("b", wraps="c"), layer("c", wraps="a")],
            "a wraps b wraps c wraps a",
        ),
    ],
)
def test_a_cycle_shows_its_path(layers: list[Middleware], path: str) -> None:
    """A cycle of constraints stops the build with the path that closes it."""
    with pytest.raises(PluginError, match=r"has a cycle") as caught:
        order(*layers)
    shown = str(caught.value).partition(": ")[2].rstrip(".").split(" wraps ")
    expected = path.split(" wraps ")
    assert shown[0] == shown[-1]
    turned = shown[shown.index("a") : -1] + shown[: shown.index("a")]
    assert [*turned, "a"] == expected


def test_one_plugin_gives_several() -> None:
    """Several layers of one plugin keep their order, at the place of the plugin."""

    class Pair:
        @hookimpl
        def qonduit_middleware(self):
            return [layer("p1"), layer("p2")]

    assert order(layer("a"), Pair(), layer("b")) == ["a", "p1", "p2", "b"]


@pytest.mark.F73
def test_two_of_one_name() -> None:
    """Two layers of one name, from different plugins, stop the build."""

    class Other:
        @hookimpl
        def qonduit_middleware(self):
            return layer("a")

    with pytest.raises(PluginError, match=r"Two middlewares are named 'a'"):
        order(layer("a"), Other())


def test_attempt_layers_are_inside_of_call_layers() -> None:
    """A layer of scope "attempt" is inside of every layer of scope "call", wherever the list names it."""
    log: list[str] = []

    @middleware("spy", scope="attempt")
    def spy(call):
        log.append("spy in")
        return (yield call.request)

    client = Client(
        provider="qwen",
        model="qwen-plus",
        api_key="sk-test",
        plugins=[spy, recorder("call", log), MemoryTransport(said("Hi"))],
    )
    client.chat.completions.create(messages=MESSAGES)
    assert log == ["call in", "spy in", "call out"]


@pytest.mark.parametrize("terms", [{"wraps": "call"}, {"wrapped_by": "call", "wraps": "call"}])
def test_an_attempt_layer_cannot_wrap_a_call_layer(terms: dict[str, str]) -> None:
    """A constraint that the scopes contradict stops the build."""
    with pytest.raises(PluginError, match=r"'attempt' cannot wrap 'call'.*scope"):
        order(layer("call"), recorder("attempt", [], scope="attempt", **terms))


def test_the_order_of_a_client_is_that_of_its_calls() -> None:
    """Layers around each attempt stand after those around the call, wherever they were named."""
    assert order(recorder("attempt", [], scope="attempt"), layer("a"), layer("b")) == ["a", "b", "attempt"]
