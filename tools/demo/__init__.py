"""`make run`: the firmware, a broker and a screen."""
