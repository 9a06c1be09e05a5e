"""Tells what happens while a log is followed: in the terminal or as JSON, to a command, to a topic."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from . import alarm, jsonl, publish, terminal, words
from .cluster import Log
from .live import Alarm, Live, SessionChange
from .model import Client, Restart, Subject
from .options import Options


class Teller:
    """`live` is what the analysers tell to. What is begun here (the command's thread, the topic's connection) ends with
    `closing`; warn(text) is called when they have something to complain of."""

    def __init__(self, options: Options, console: Console, closing: contextlib.ExitStack, warn: Callable[[str], None]):
        self.live = Live(self._alarm, self._session)
        self._options, self._console = options, console
        self._command = alarm.Command(options.command, warn) if options.command else None
        self._topic = publish.Topic(options.topic, warn) if options.topic else None
        for each in (self._command, self._topic):
            if each:
                closing.callback(each.close)

    def restarted(self, log: Log, restart: Restart) -> None:
        """The broker of that log came back."""
        if self._options.json:
            print(jsonl.line(jsonl.restart_object(restart, log.name, live=True)), flush=True)
        else:
            self._print(log.name, words.restart(restart), 0 if restart.announced else 40)

    def _wanted(self, subject: Subject) -> bool:
        if self._topic is not None and subject.id == self._topic.client_id:
            return False  # or each alarm would be the cause of the next
        clients, hold = self._options.clients, self._options.addresses.hold
        if not clients and not self._options.addresses:
            return True
        sessions = subject.sessions[-1:] if isinstance(subject, Client) else []
        return subject.id in clients or hold(subject.id) or any(hold(session.address) for session in sessions)

    def _session(self, change: SessionChange) -> None:
        if not self._wanted(change.subject):
            return
        if self._options.json:
            told = jsonl.session_object(change.subject, change.session, change.broker, live=True)
            print(jsonl.line(told), flush=True)
        elif not change.is_trouble:
            self._print(change.broker, f"{words.moment(change.t)} {words.named(change.subject)}: {change.text()}", 0)

    def _alarm(self, alarm: Alarm) -> None:
        if not self._wanted(alarm.subject):
            return
        as_json = jsonl.line(jsonl.trouble_object(alarm))
        if self._options.json:
            print(as_json, flush=True)
        else:
            self._print(
                alarm.broker, f"{words.moment(alarm.t)} {words.named(alarm.subject)}: {alarm.text()}", alarm.weight
            )
        if alarm.standing:
            return
        if self._command:
            self._command.run(alarm, as_json)
        if self._topic:
            self._topic.publish(as_json)

    def _print(self, broker: str | None, text: str, weight: int) -> None:
        named = f"{broker}: {text}" if broker else text
        self._console.print(Text(named, terminal.colour(weight)), soft_wrap=True)
        sys.stdout.flush()
