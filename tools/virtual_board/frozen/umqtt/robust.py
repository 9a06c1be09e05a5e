"""In the place of the umqtt.robust that stock firmware freezes."""

from . import simple


class MQTTClient(simple.MQTTClient):
    pass
