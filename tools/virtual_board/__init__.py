"""A board that is not there: unmodified esptool and mpremote take it for an ESP32 or an ESP8266."""
