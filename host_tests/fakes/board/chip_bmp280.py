"""A BMP280: the script's "bmp280 0x76" is [°C, hPa]; all else is as in chip_bme280."""

from chip_bme280 import Chip as Bme280


class Chip(Bme280):
    number = 0x58
