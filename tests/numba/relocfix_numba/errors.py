"""What can go wrong, as exceptions that say what and why."""


class CacheError(Exception):
    """The base of this package's exceptions."""


class NotPortable(CacheError):
    """A compiled function holds something of this process that no other process has. The message names it."""


class Stale(CacheError):
    """A saved function was made for other libraries, another processor, another Numba or other source code."""
