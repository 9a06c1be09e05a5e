"""What is shipped together, and what of it others may name: the library, whose users import it, or the firmware, of
which nobody imports more than boot.py and main.py do."""

from typing import Dict, FrozenSet, NamedTuple, Optional, Tuple


class Package(NamedTuple):
    """name: "umqtt", or "" for modules that are imported by their own names; a module in a folder is called
    folder/module here. groups: modules of each become one, the last, the lowest first; one of several groups goes into
    each, for no two of those are ever loaded together. internal: modules that no
    program imports. beneath: those to whose calls no program passes an argument by name. exports: of a closed
    package {module: the names that are imported from outside of it}; all other names, of attributes too, may
    change, but those in `kept`. None: an open one, whose public names stay. moved: {(module, name): where it is to
    be imported from}. in_rom: byte-code costs no heap where it matters, names do."""

    name: str
    groups: Tuple[Tuple[str, ...], ...]
    internal: Tuple[str, ...] = ()
    beneath: Tuple[str, ...] = ()
    exports: Optional[Dict[str, Tuple[str, ...]]] = None
    kept: FrozenSet[str] = frozenset()
    moved: Dict[Tuple[str, str], Tuple[str, str]] = {}  # noqa: RUF012 - nobody changes it
    in_rom: bool = False

    @property
    def is_closed(self) -> bool:
        return self.exports is not None

    def path(self, module: str) -> str:
        """What `module` is imported as."""
        dotted = module.replace("/", ".")
        return "%s.%s" % (self.name, dotted) if self.name else dotted

    def module(self, path: str) -> Optional[str]:
        """The module that is imported as `path`, if it is of this package; "" is the package itself. Of a closed one
        it may not be there."""
        if not self.name:
            return path.replace(".", "/")
        if path.split(".")[0] != self.name:
            return None
        return path[len(self.name) + 1 :].replace(".", "/")
