"""identify SECONDS: the light of key `led` blinks fast, 10 s when none are given."""


def carry_out(node, payload: bytes, flags: int) -> str:
    text = str(payload, "utf-8").strip() or "10"
    if not text.isdigit():
        text = "10"  # a button sends a word
    if not 0 < int(text) <= 3600:
        raise ValueError("needed are 1 to 3600 s")
    if not node.led:
        raise ValueError("config.json names no light: set led to its GPIO")
    node.led.identify(int(text))
    return "blinking for %s s" % text
