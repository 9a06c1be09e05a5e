"""`onewire`: a bus is its pin's number."""


class OneWireError(Exception):
    pass


class OneWire:
    def __init__(self, pin):
        self.number = pin.number
