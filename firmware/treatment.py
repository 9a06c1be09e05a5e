"""What becomes of a sensor's values before they are a reading? Several samples, a calibration, limits of one's own,
changes only. Imported only for a sensor whose entry asks for it."""

from time import sleep_ms, time

from micropython import const

_PAUSE_MS = const(20)  # between two samples, for a sensor that asks for no other
_HEARTBEAT_S = const(3600)
_NO_VALUE = const(-0x80000000)  # in `last`: far from any value


class Treated:
    """A sensor that looks like the one it stands for. keys: those of config_check._TREATMENT that its entry has,
    "name", and "kept" when what was published must survive a deep sleep. Attribute send_every_s: so often all is
    published; 0: each reading. Raises ValueError that names the key."""

    limits = ()  # the sensor's own hold for each sample

    def __init__(self, sensor, keys: dict):
        self.sensor = sensor
        self.keys = keys
        self.last = None  # published values, and when
        quantities = getattr(sensor, "quantities", None) or [field[0] for field in sensor.fields]
        for key in ("offset", "scale", "delta", "min", "max"):
            given = keys.get(key, {})
            if not isinstance(given, dict) and len(quantities) > 1:
                raise ValueError(
                    '%s is %s; needed is an object that says of which quantity, as {"%s": %s}: it has %s'
                    % (key, given, quantities[0], given, ", ".join(quantities))
                )
            for quantity in given if isinstance(given, dict) else ():
                if quantity not in quantities:
                    raise ValueError("%s names %s; it has %s" % (key, quantity, ", ".join(quantities)))
        self.memory = None
        self.send_every_s = 0
        if "delta" in keys or "send_every_s" in keys:
            self.send_every_s = keys.get("send_every_s", _HEARTBEAT_S)
        if self.send_every_s and "kept" in keys:
            from kept import Kept

            self.memory = Kept(keys["name"], 1 + len(quantities))
            self.last = self.memory.read()

    def __getattr__(self, name):
        return getattr(self.sensor, name)

    def read(self):
        """The sensor's, treated; ... for what did not change. Takes as long as all samples do. Raises OSError,
        ValueError in words."""
        values = self.middle()
        for i, (quantity, unit, places) in enumerate(self.sensor.fields):
            value = values[i]
            if value is None or value is ... or not isinstance(places, int):
                continue
            one = 10**places
            value = round(value * self.of("scale", quantity, 1) + self.of("offset", quantity, 0) * one)
            least, most = self.of("min", quantity, None), self.of("max", quantity, None)
            if least is not None and value < least * one or most is not None and value > most * one:
                raise ValueError("%s %s %s is beyond min or max" % (quantity, value / one, unit))
            values[i] = value
        return self.changes(values) if self.send_every_s else values

    def again(self):
        """All values are published the next time, changed or not."""
        self.last = None

    def of(self, key, quantity, default):
        """The number that `key` has for a quantity."""
        given = self.keys.get(key, default)
        return given.get(quantity, default) if isinstance(given, dict) else given

    def middle(self):
        """The median or the mean of the samples, of each field. Up to half of them may fail."""
        most = self.keys.get("median") or self.keys.get("mean") or 1
        if hasattr(self.sensor, "changed"):
            most = 1  # each sample would be another change of a contact
        samples = []
        trouble = None
        for i in range(most):
            if i:
                sleep_ms(getattr(self.sensor, "pause_ms", _PAUSE_MS))
            try:
                samples.append(self.sample())
            except (OSError, ValueError) as e:
                trouble = e
        if trouble and len(samples) * 2 < most:
            raise trouble
        values = []
        for column in zip(*samples):
            known = sorted([v for v in column if isinstance(v, int)])
            if not known:
                values.append(column[-1])
            elif "mean" in self.keys:
                values.append(round(sum(known) / len(known)))
            else:
                values.append(known[len(known) // 2])
        return values

    def sample(self):
        """One answer of the sensor, within the limits of what can be."""
        values = self.sensor.read()
        limits = getattr(self.sensor, "limits", ())
        for i, value in enumerate(values):
            if limits and isinstance(value, int) and not limits[2 * i] <= value <= limits[2 * i + 1]:
                raise ValueError("%s cannot be" % self.sensor.fields[i][0])
        return values

    def changes(self, values):
        """Of the values those that changed by delta since they were published; all of them every send_every_s."""
        now_s = int(time())
        last = self.last
        if not last or len(last) != 1 + len(values):
            last = [_NO_VALUE] * (1 + len(values))
        if not self.last or not 0 <= now_s - last[0] < self.send_every_s:
            last[0] = now_s  # also when the clock was set meanwhile
        else:
            for i, value in enumerate(values):
                quantity, _, places = self.sensor.fields[i]
                if isinstance(value, int) and isinstance(places, int):
                    least = self.of("delta", quantity, 0) * 10**places
                    if value == last[1 + i] or abs(value - last[1 + i]) < least:
                        values[i] = ...
        for i, value in enumerate(values):
            if value is not ...:
                last[1 + i] = value if isinstance(value, int) else _NO_VALUE
        self.last = last
        if self.memory:
            self.memory.write(last)
        return values
