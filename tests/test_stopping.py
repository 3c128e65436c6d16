"""A signal is not lost, wherever its exception was raised."""

import gc
import signal
import time

import pytest

from pinnkit.stopping import Stopped, signals_raise, signals_request


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
