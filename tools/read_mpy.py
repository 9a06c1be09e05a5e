"""Read a .mpy file of version 6, byte-code only: its names, constants and functions, as py/persistentcode.c loads
them."""

from typing import List, NamedTuple, Optional, Tuple

HANDLER_WORDS = 3  # one entry of the exception stack, mp_exc_stack_t
GENERATOR = 1  # MP_SCOPE_FLAG_GENERATOR
BYTE_CODE = 0  # MP_CODE_BYTECODE less 2, as the file has it
STR, BYTES, TUPLE = 5, 6, 10  # kinds of constants; up to NO_DATA they have no bytes of their own
NO_DATA = 4


class Code(NamedTuple):
    """A function, or the body of a module or class. words: its frame on the stack, with handlers; size_b: byte-code
    with its prelude, of which prelude_b: frame, name and names of arguments, and lines_b: line numbers."""

    parent: Optional[int]  # its index in Mpy.codes
    words: int
    size_b: int
    prelude_b: int
    lines_b: int
    name: str
    defaults: int
    arguments: int
    is_generator: bool


class Mpy:
    """names: (text, whether every interpreter has it by number); constants: (kind, bytes of it, those in it); codes:
    the module's body first, then as the compiler wrote them. Raises ValueError."""

    def __init__(self, data: bytes):
        if data[:2] != b"M\x06":
            raise ValueError("no .mpy of version 6")
        self.data = data
        self.at = 4
        self.names: List[Tuple[str, bool]] = []
        self.codes: List[Code] = []
        names, constants = self._uint(), self._uint()
        for _ in range(names):
            self.names.append(self._name())
        self.constants = [self._constant() for _ in range(constants)]
        self._code(None)

    def _uint(self) -> int:
        number = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            number = number << 7 | byte & 127
            if byte < 128:
                return number

    def _bytes(self, size_b: int) -> bytes:
        self.at += size_b
        return self.data[self.at - size_b : self.at]

    def _name(self) -> Tuple[str, bool]:
        n = self._uint()
        if n & 1:
            return "%d" % (n >> 1), True
        text = self._bytes(n >> 1).decode()
        self.at += 1  # NUL
        return text, False

    def _constant(self) -> Tuple[int, bytes, list]:
        kind = self.data[self.at]
        self.at += 1
        if kind <= NO_DATA:  # a function table, None, False, True, Ellipsis
            return kind, b"", []
        n = self._uint()
        if kind == TUPLE:
            return kind, b"", [self._constant() for _ in range(n)]
        data = self._bytes(n)
        if kind in (STR, BYTES):
            self.at += 1
        return kind, data, []

    def _code(self, parent: Optional[int]) -> None:
        n = self._uint()
        if n & 3 != BYTE_CODE:
            raise ValueError("native code")
        start, self.at = self.at, self.at + (n >> 3)
        index = len(self.codes)
        self.codes.append(self._prelude(start, n >> 3, parent))
        if n & 4:
            for _ in range(self._uint()):
                self._code(index)

    def _prelude(self, start: int, size_b: int, parent: Optional[int]) -> Code:
        # MP_BC_PRELUDE_SIG_DECODE and MP_BC_PRELUDE_SIZE_DECODE of py/bc.h
        data = self.data
        at = start
        z = data[at]
        at += 1
        states, handlers, flags, positional, keyword, defaults = z >> 3 & 15, z >> 2 & 1, 0, z & 3, 0, 0
        n = 0
        while z & 128:
            z = data[at]
            at += 1
            states |= (z & 0x30) << 2 * n
            handlers |= (z & 2) << n
            flags |= (z & 0x40) >> 6 << n
            positional |= (z & 4) << n
            keyword |= (z & 8) >> 3 << n
            defaults |= (z & 1) << n
            n += 1
        info_b = n = 0
        z = 128
        while z & 128:
            z = data[at]
            at += 1
            info_b |= (z & 0x7E) >> 1 << 6 * n
            n += 1
        lines_from, self.at = self.at, at
        name = self._uint()
        for _ in range(positional + keyword):
            self._uint()
        names_end, self.at = self.at, lines_from
        return Code(
            parent,
            states + 1 + HANDLER_WORDS * handlers,
            size_b,
            names_end - start,
            at + info_b - names_end,
            self.names[name][0],
            defaults,
            positional + keyword,
            bool(flags & GENERATOR),
        )
