"""A signal is not lost, wherever its exception was raised."""

import gc
import signal
import time
from contextlib import suppress

import pytest

from pinnkit.runs.run import require_ctrl_c
from pinnkit.stopping import Stopped, raise_pending_signal, signals_raise, signals_request


class SendsWhileItDies:
    """An object in whose destructor a signal comes: Python drops what is raised there."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)  # the handler runs here


def in_a_destructor():
    SendsWhileItDies()


def in_the_garbage_collector():
    def send(phase, info):
        gc.callbacks.remove(send)
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)

    gc.callbacks.append(send)
    gc.collect()


@pytest.mark.parametrize("send", [in_a_destructor, in_the_garbage_collector])
def test_a_signal_in_a_callback_whose_exceptions_are_dropped_is_raised_after_it(send, capsys):
    with pytest.raises(Stopped) as stopped, signals_raise():
        send()
        time.sleep(10.0)
    assert stopped.value.signum == signal.SIGINT
    assert capsys.readouterr().err == ""


def test_a_signal_that_was_heeded_is_not_raised_again():
    with pytest.raises(Stopped), signals_raise():
        signal.raise_signal(signal.SIGINT)
    raise_pending_signal()
    with signals_raise():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as stop:
            require_ctrl_c(stop)  # what it interrupts is left out, and the program goes on
    raise_pending_signal()


def test_a_signal_that_something_swallowed_is_raised_later():
    with signals_raise(), suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(Stopped):
        raise_pending_signal()
    raise_pending_signal()


def test_a_second_signal_in_such_a_callback_stops_too(capsys):
    with pytest.raises(Stopped), signals_request(lambda signum: None) as request:
        signal.raise_signal(signal.SIGINT)
        in_a_destructor()
        time.sleep(10.0)
    assert request.at_once
    assert capsys.readouterr().err == ""


def test_other_exceptions_there_are_reported_as_ever(capsys, monkeypatch):
    dropped = []
    monkeypatch.setattr("sys.unraisablehook", lambda lost: dropped.append(lost.exc_type))

    class Fails:
        def __del__(self):
            raise OSError

    with signals_raise():
        Fails()
    assert dropped == [OSError]
