"""A cache in the place of Numba's: a dispatcher loads and saves its signatures as they are compiled."""
import os
import warnings

from numba.core.errors import NumbaWarning
from numba.core.sigutils import normalize_signature

from . import compiled, index, loading, reach, saving
from .errors import CacheError, NotPortable


def cache(folder, **options):
    """A decorator for what `@njit` made: its signatures are loaded from the folder, else compiled and saved there.

    The options are those of `save`. What cannot be saved is compiled in every process, with a warning that says why.
    What is stale is compiled again and replaced.
    """

    def decorate(dispatcher):
        dispatcher._cache = FolderCache(dispatcher, folder, saving.Options(**options))
        return dispatcher

    return decorate


class FolderCache:
    """What a dispatcher asks of its cache (numba/core/caching.py, `_Cache`)."""

    def __init__(self, dispatcher, folder, options):
        self._dispatcher, self._options, self._enabled = dispatcher, options, True
        #: The folder.
        self.cache_path = os.path.abspath(folder)

    def enable(self):
        self._enabled = True

    def disable(self):
        self._enabled = False

    def flush(self):
        """Removes the entries of this function."""
        for stem, entry in self._entries():
            os.unlink(os.path.join(self.cache_path, stem + index.SUFFIX))

    def load_overload(self, signature, target_context):
        """The saved result for a signature; `None` if there is none that is fresh."""
        if not self._enabled:
            return None
        arguments, _ = normalize_signature(signature)
        fingerprint = None
        for stem, entry in self._entries():
            if not entry["signature"].startswith(index.plain(arguments) + " -> "):
                continue
            fingerprint = fingerprint or reach.fingerprint(self._dispatcher)
            if entry["fingerprint"] != fingerprint:
                continue
            try:
                result = loading.load_result(self.cache_path, stem, entry)
            except CacheError:
                continue
            # Two types may look alike.
            if result.signature.args == tuple(arguments):
                return result
        return None

    def save_overload(self, signature, result):
        """Saves what was compiled."""
        if not self._enabled:
            return
        try:
            saving.save_compiled(compiled.of_result(self._dispatcher, result), self.cache_path, self._options)
        except NotPortable as error:
            warnings.warn(f"not saved: {error}", NumbaWarning, stacklevel=3)

    def _entries(self):
        function = self._dispatcher.py_func
        if not os.path.isdir(self.cache_path):
            return
        for stem in index.stems(self.cache_path):
            try:
                entry = index.read(self.cache_path, stem)
            except CacheError:
                continue
            if entry and (entry["module"], entry["name"]) == (function.__module__, function.__qualname__):
                yield stem, entry
