"""BMP280 (Bosch) on I2C: air temperature and pressure. Source: data sheet BST-BMP280-DS001, sections 3.11 and 4. It is
a BME280 without the humidity."""

from micropython import const

from sensors.bme280 import Sensor as Bme280

_KEYS = const((("address", ("0x76", "0x77"), "0x76", "I2C address"),))


class Sensor(Bme280):
    fields = (("temperature", "°C", 2), ("pressure", "hPa", 2))
    limits = (-4000, 8500, 30000, 110000)
    chip = "BMP280"
    number = 0x58
