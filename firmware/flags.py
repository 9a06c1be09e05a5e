"""What do the flags of a message say? Those of its packet, as a view of the client has them, and one of ours."""

from micropython import const

RETAINED = const(1)
QOS_1 = const(2)
DUP = const(8)
MORE = const(16)  # of this message follows
LATER = const(32)  # a later part of it
EARLIER = const(64)  # noted by an earlier life of the board, and not yet answered
OF_THE_PACKET = const(15)  # a mask
