"""What a program passes in, for type checkers: `if TYPE_CHECKING: from umqtt.hints import Callback`. Nothing of this is
on a board.
"""

from typing import Any, Callable, Dict, List, Protocol, Tuple, TypedDict, Union

Text = Union[str, bytes]
Payload = Union[str, bytes, bytearray, memoryview]

class Callback(Protocol):
    """For `set_callback` and `Routes.add`; what it returns is `store.state` when there is a store."""

    def __call__(self, topic: bytes, payload: bytes, retained: bool, /) -> object: ...

class SimpleCallback(Protocol):
    """For `set_callback` of `umqtt.simple` and `umqtt.robust`. payload: a bytearray where two copies do not fit."""

    def __call__(self, topic: bytes, payload: Any, /) -> object: ...

class View(Protocol):
    """For `set_view`: the message is buf[start:end], its topic buf[2:topic_end], valid during the call."""

    def __call__(self, buf: bytearray, topic_end: int, start: int, end: int, flags: int, /) -> object: ...

class OnEnded(Protocol):
    """For `on_ended`. codes: b"" for a message, one byte for each filter of a subscription, None when taken back."""

    def __call__(self, packet_id: int, codes: "bytes | None", /) -> object: ...

class OnState(Protocol):
    """For `Reconnect(on_state=...)`. error: in words, "" when the link came up."""

    def __call__(self, connected: bool, error: str, /) -> object: ...

class TLSContext(Protocol):
    """An ssl.SSLContext of the board."""

    def wrap_socket(self, sock: Any, /, *args: Any, **named: Any) -> Any: ...

class Reader(Protocol):
    """For `umqtt.stream.publish`: an open file is one. Returns how many bytes it put into buf, 0 at the end."""

    def readinto(self, buf: Any, /) -> "int | None": ...

class Memory(Protocol):
    """For `Region`: machine.RTC().memory. Without an argument it returns all of it."""

    def __call__(self, data: Any = ..., /) -> Any: ...

class Journal(Protocol):
    """What `Store` writes to: a FileJournal, an RtcJournal, or one of your own. load() gives all of it as an open file,
    None when there is none; append() returns False when the journal is to be written anew; each write is whole or not
    at all."""

    volatile: bool
    path: str
    limit_b: int

    def load(self) -> Any: ...
    def check(self) -> bool: ...
    def append(self, data: bytearray, /) -> bool: ...
    def rewrite(self, data: "bytes | bytearray", /) -> None: ...
    def reserve(self) -> bool: ...

class DurableStore(Protocol):
    """What a client keeps its session in: a Store, or one of your own. packet_type: that of the acknowledgement; a slot
    is [packet id, first byte, topic with its length before it, payload]. values: of
    MQTT 5, as a Store has them."""

    window: int
    must: bool
    values: "Dict[bytes, bytes] | None"

    def replay(self, session: Any, client_id: Text, server: Text, /) -> bool: ...
    def rewrite(self) -> None: ...
    def put(self, slot: List[Any], later: bool = ..., /) -> None: ...
    def acked(self, packet_type: int, packet_id: int, /) -> None: ...
    def seen(self, packet_id: int, state: "bytes | None" = ..., /) -> None: ...
    def subscribed(self, filter: bytes, qos: "int | None", /) -> None: ...
    def sync(self) -> None: ...

class Diagnosis(TypedDict):
    """What `diag` returns."""

    connects: int
    inflight: int
    resends: int
    oversize: int
    lookup_ms: int
    error: str

Properties = Dict[int, Any]
Clock = Callable[[], Union[int, float]]
Brokers = List[Tuple[str, int]]
SslParams = Dict[str, Any]
