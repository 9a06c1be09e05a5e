"""Before MicroPython's `socket`: whatever host a program names is this machine, port 1883 the one of the test."""

import os

import usocket
from usocket import *  # noqa: F403


def getaddrinfo(host, port, *rest):
    return usocket.getaddrinfo("127.0.0.1", int(os.getenv("MQTT_PORT")) if port == 1883 else port, *rest)
