"""Programs that prove the client and the firmware against real brokers: interop, cluster, fleet."""
