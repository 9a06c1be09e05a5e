"""A temporary folder on CPython and on MicroPython: `with Folder() as path:`; it and what is in it go at the end."""

import os


class Folder:
    def __enter__(self):
        name = "".join("%02x" % byte for byte in os.urandom(6))
        self.path = (os.getenv("TMPDIR") or "/tmp") + "/umqtt-" + name
        os.mkdir(self.path)
        return self.path

    def __exit__(self, *_):
        self._remove(self.path)

    def _remove(self, path):
        if os.stat(path)[0] & 0x4000:
            for name in os.listdir(path):
                self._remove(path + "/" + name)
            os.rmdir(path)
        else:
            os.remove(path)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
