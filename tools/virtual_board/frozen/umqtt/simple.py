"""In the place of the umqtt.simple that stock firmware freezes, to spring the trap: not ours, and of no use."""


class MQTTException(Exception):
    pass


class MQTTClient:
    def __init__(self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None):
        raise MQTTException("this is the frozen umqtt of the firmware, not the one in /lib")
