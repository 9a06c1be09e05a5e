"""The board at the end of the cable: flash, configure, deploy, listen."""
