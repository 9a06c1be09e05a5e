"""`network` for the programs of examples/: "my network" is in reach, and joined at the second look."""

STA_IF, AP_IF = 0, 1


class WLAN:
    def __init__(self, interface):
        self.joined = None  # the name of the network
        self.looks = 0

    def active(self, on):
        pass

    def connect(self, name, password):
        self.joined = name

    def status(self):
        return 201  # no such network

    def isconnected(self):
        self.looks += self.joined == "my network"
        return self.looks > 1
