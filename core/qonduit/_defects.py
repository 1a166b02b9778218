"""Defects: what a part of a route did against its contract, as a PluginError that names the part and its provider."""

from __future__ import annotations

from qonduit._failures import bare
from qonduit.errors import PluginError, QonduitError
from qonduit.route import Route

_WHOSE = "This is a defect of the plugin, not of your call."


def broken(route: Route, part: str, error: Exception) -> PluginError:
    """A part that raised what no part may raise; `error` is its cause."""
    failure = PluginError(f"The {part} of provider '{route.profile.provider}' failed: {type(error).__name__}. {_WHOSE}")
    failure.__cause__ = error
    return failure


def gave(route: Route, part: str, given: object, expected: type) -> PluginError:
    """A part that gave something else."""
    return PluginError(
        f"The {part} of provider '{route.profile.provider}' gave {type(given).__name__}; expected "
        f"{expected.__name__}. {_WHOSE}"
    )


def of_transport(route: Route, error: Exception) -> QonduitError:
    """What a transport's exception is to the caller: its own error, or its defect."""
    return error if isinstance(error, QonduitError) else broken(route, "transport", error)


def of_auth(route: Route, error: Exception) -> QonduitError:
    """The same of auth, without the frames that it came through: they may hold the key, as may a defect's text."""
    if isinstance(error, QonduitError):
        bare(error)
        return error
    ended = isinstance(error, StopIteration)
    what = "yielded no request" if ended else f"failed: {type(error).__name__} in {place_of(error)}"
    return PluginError(f"The auth of provider '{route.profile.provider}' {what}. {_WHOSE}")


def place_of(error: BaseException) -> str:
    """The module and line where an exception was raised: what may be said of one that may not be shown."""
    trace, place = error.__traceback__, "an unknown place"
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__')}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
