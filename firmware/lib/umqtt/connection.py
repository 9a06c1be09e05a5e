"""The verbs of a client for those who begin and end its connections: umqtt.reconnect and umqtt.roaming. As `addons`
for the other parts: nothing else of a client's private state is theirs."""

from umqtt.errors import link_error
from umqtt.wire import DISCONNECT_BYTE, FIRST_BYTE, IN_USE, PACKET_ID, PUBREL_BYTE, SENT, WIPE


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


def subscribe_again(client) -> None:
    """Of the connection that begins: ask for all subscriptions, whether the broker kept a session or not."""
    client._filters_left = list(client._granted_qos)


def last_fault(client) -> BaseException:
    """The exception that the last connection ended with."""
    return client._fault


def note_error(client, words: str) -> None:
    """The last error in words, for `diag`."""
    client._error_words = words


def is_idle(client) -> bool:
    """Whether the session owes the broker nothing, nor the broker the session, and no call is at work."""
    return not (
        client._slots_sent
        or client._send_blocked
        or client._draft[IN_USE]
        or [packet_id for packet_id in client._held_packet_ids if packet_id]
    )


def end(client, words: str, goodbye: bool) -> None:
    """End the connection that is up, for the reason `words`: the client's next step finds the link lost. goodbye: with
    DISCONNECT, behind everything that was sent [3.14]."""
    if goodbye:
        client._link_up = False  # nothing may follow it [3.14.4]
        client._send_loose(DISCONNECT_BYTE, b"")
    client._on_fault(link_error("ECONNABORTED", words))


def unreleased(client) -> list:
    """The packet ids of messages that the broker has, and that it may not know to be released [4.3.3]. Allocates."""
    return [
        slot[PACKET_ID] for slot in client._packet_slots[: client.inflight] if slot[FIRST_BYTE] & ~SENT == PUBREL_BYTE
    ]


def release(client, packet_id: int) -> None:
    """Send PUBREL for a message that has no slot any more."""
    if not client.pending(packet_id) and client._link_up:
        client._send_loose(PUBREL_BYTE, bytes((packet_id >> 8, packet_id & 255)))


def watch_by(client, watch):
    """Let `watch` be asked in place of the client's look at its link: it returns the milliseconds until the next look,
    0 when the link is down. Returns what was asked until now."""
    before = client._watch
    client._watch = watch
    return before
