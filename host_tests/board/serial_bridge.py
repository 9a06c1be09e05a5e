"""A board's serial port over HTTP on loopback, for web_serial.mjs: a browser or node has it as Web Serial gives it. A
folder is served beside it, so that a page and its port have one origin."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import serial

ADAPTER = Path(__file__).with_name("web_serial.mjs")


class SerialBridge:
    """A context manager. `address`: of the server; `signals`: what DTR and RTS were set to."""

    def __init__(self, port: str, folder: Path):
        self._port = port
        self._serial: serial.SerialBase | None = None
        self.signals: list[dict] = []

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(handler) -> None:
                path = urlsplit(handler.path).path
                if path == "/serial/read":
                    return self._read(handler)
                if path == "/serial/" + ADAPTER.name:
                    handler.directory = str(ADAPTER.parent)
                    handler.path = "/" + ADAPTER.name
                super().do_GET()

            def do_POST(handler) -> None:
                self._obey(handler)

            def log_message(handler, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self._server.daemon_threads = True
        self.address = "http://127.0.0.1:%d" % self._server.server_port

    def __enter__(self) -> SerialBridge:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        self._server.shutdown()
        self._server.server_close()

    def _close(self) -> None:
        port, self._serial = self._serial, None
        if port:
            port.close()

    def _read(self, handler: SimpleHTTPRequestHandler) -> None:
        # what the board says, as it comes, until the port is closed or the reader goes
        port = self._serial
        handler.send_response(200)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.end_headers()
        try:
            while port is self._serial:
                data = port.read(max(1, port.in_waiting))
                handler.wfile.write(data)
                handler.wfile.flush()
        except (OSError, TypeError, serial.SerialException):
            pass
        handler.close_connection = True

    def _obey(self, handler: SimpleHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        parts = urlsplit(handler.path)
        if parts.path == "/serial/open":
            self._close()
            self._serial = serial.serial_for_url(self._port, 115200, timeout=0.05)
        elif parts.path == "/serial/close":
            self._close()
        elif parts.path == "/serial/write":
            self._serial.write(data)
        elif parts.path == "/serial/signals":
            asked = {name: value == ["true"] for name, value in parse_qs(parts.query).items()}
            self.signals.append(asked)
            if "dtr" in asked:
                self._serial.dtr = asked["dtr"]
            if "rts" in asked:
                self._serial.rts = asked["rts"]
        handler.send_response(204)
        handler.end_headers()
