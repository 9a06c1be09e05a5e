"""What happened to each device, from the log of a Mosquitto broker. See docs/mosqlog.md."""
