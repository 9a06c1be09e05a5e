"""The page of `make run WEB=1`: readings, counters and the board's words as server-sent events, buttons as POSTs.

It is on loopback alone, takes no script from elsewhere, and obeys only its own buttons: a request that names another
host, or does not have the token that is in the page, is refused.
"""

import json
import queue
import secrets
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Callable, Deque, List, Tuple

from tools.demo.watch import Reading, Tally

FOLDER = Path(__file__).with_name("web_page")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
FILES = {"/": "index.html", "/page.js": "page.js", "/page.css": "page.css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
KEPT = 3000  # events for a page that is opened or connects again: the oldest go
BEAT_S = 10.0


class Page:
    """`with Page(buttons, press) as page:` serves it at `page.url`. `press` is called with the name of a button that
    was pressed, in a thread of the server's."""

    def __init__(self, buttons: List[str], press: Callable[[str], None], tcp_port: int = 0):
        self.buttons, self.press = buttons, press
        self.token = secrets.token_hex(16)
        self.events: Deque[Tuple[int, str]] = deque(maxlen=KEPT)
        self.last_id = 0
        self.readers: List[queue.Queue] = []
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", tcp_port), type("Handler", (_Handler,), {"page": self}))
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/" % self.server.server_port

    def __enter__(self) -> "Page":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def send(self, kind: str, **values: object) -> None:
        """An event to every page that is open, and to those that are opened later."""
        with self.lock:
            self.last_id += 1
            event = (self.last_id, json.dumps({"kind": kind, **values}))
            self.events.append(event)
            for reader in self.readers:
                reader.put(event)

    def reading(self, reading: Reading, tally: Tally) -> None:
        taken_s = reading.received_s if reading.taken_s is None else reading.taken_s
        self.send(
            "reading",
            sensor=reading.sensor,
            value=reading.value,
            unit=reading.unit,
            taken_s=taken_s,
            received_s=reading.received_s,
        )
        self.counts(tally)

    def counts(self, tally: Tally) -> None:
        self.send("counts", received=len(tally.received), lost=tally.lost_so_far(), repeated=tally.repeated)

    def line(self, text: str) -> None:
        self.send("line", text=text)

    def subscribe(self, after_id: int) -> queue.Queue:
        """A queue with the kept events after that id, and of every new one."""
        reader: queue.Queue = queue.Queue()
        with self.lock:
            for event in self.events:
                if event[0] > after_id:
                    reader.put(event)
            self.readers.append(reader)
        return reader

    def unsubscribe(self, reader: queue.Queue) -> None:
        with self.lock:
            self.readers.remove(reader)

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    page: Page

    def log_message(self, *_: object) -> None:
        pass

    def _is_ours(self) -> bool:
        """Whether it was asked for by the page's own address: another name may be one that leads a browser here."""
        port = self.page.server.server_port
        return self.headers.get("Host") in ("127.0.0.1:%d" % port, "localhost:%d" % port)

    def _answer(self, status: int, body: bytes = b"", kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        path = self.path.partition("?")[0]
        if not self._is_ours():
            self._answer(403, b"this page is for the address that `make run` prints\n")
        elif path == "/events":
            self._events()
        elif path in FILES:
            file = FOLDER / FILES[path]
            body = file.read_bytes().replace(b"{{token}}", self.page.token.encode())
            self._answer(200, body, TYPES[file.suffix] + "; charset=utf-8")
        else:
            self._answer(404, b"there is no such file\n")

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        last = self.headers.get("Last-Event-ID", "")
        reader = self.page.subscribe(int(last) if last.isdigit() else 0)
        try:
            while True:
                try:
                    number, text = reader.get(timeout=BEAT_S)
                    self.wfile.write(b"id: %d\ndata: %s\n\n" % (number, text.encode()))
                except queue.Empty:
                    self.wfile.write(b": still here\n\n")
                self.wfile.flush()
        except OSError:
            pass  # the page was closed
        finally:
            self.page.unsubscribe(reader)

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        sent = self.headers.get("X-Token", "")
        if not self._is_ours() or not secrets.compare_digest(sent.encode(), self.page.token.encode()):
            self._answer(403, b"only the page's own buttons do this\n")
        elif self.path[1:] not in self.page.buttons:
            self._answer(404, b"there is no such button\n")
        else:
            self.page.press(self.path[1:])
            self._answer(204)
