"""The verbs of a client for who begins its connections: umqtt.reconnect, or an event loop. As `addons` for the other
parts: nothing else of a client's private state is theirs."""

from umqtt.wire import WIPE


def begin_connect(client, timeout_ms=None) -> None:
    """Close what is up and begin a connection: `poll` goes on with it, and raises what `connect` would. Nothing but a
    name look-up blocks. Raises ValueError, and nothing has changed; OSError: inside a callback, and without `reconnect`
    when the look-up failed or there is no socket."""
    client._begin_connect(timeout_ms)
    client._step(0)


def wipe(client) -> None:
    """Let the connection that begins next end the session which the broker may have, and itself, and send nothing of
    what is in flight; `wiped` tells what came of it. The session must be one that is kept."""
    client.clean_session = WIPE


def wiped(client) -> bool:
    """The connection of `wipe` has ended: whether that ended the session, too."""
    was_done = not client.clean_session
    client.clean_session = False
    return was_done


def session_present(client) -> bool:
    """Whether the broker kept the session of the connection that is up."""
    return client._session_present


def last_fault(client) -> BaseException:
    """The exception that the last connection ended with."""
    return client._fault


def note_error(client, words: str) -> None:
    """The last error in words, for `diag`."""
    client._error_words = words
