"""Expressions of a session map that ask a running Python, through its C API.

The initializer of a library runs while it is loaded. What is asked here needs Python's lock (the GIL), so such a library
must be loaded by a Python that holds it: see `loading.open_library`. Elsewhere it fails: a program without Python has no
`PyImport_ImportModule` and cannot load it, and on a thread that Python does not know the first value is null, which ends
the fill with a message.
"""

# Not null on a thread that Python knows.
THREAD = "python"


class Asked:
    """Collects what the expressions ask, so that it can be checked before the library is loaded."""

    def __init__(self):
        self._values = {}
        self._needs = []

    def attribute(self, module, name):
        """The address of `module.name`, a Python object."""
        self._need(module, name, None)
        return {"value": self._attribute(module, name)}

    def item(self, module, name, key):
        """The number in `module.name[key]`, a dictionary of addresses."""
        self._need(module, name, key)
        table = {"value": self._attribute(module, name)}
        item = {"call": "PyDict_GetItemString", "args": [table, {"string": key}]}
        return {"call": "PyLong_AsVoidPtr", "args": [item]}

    def number(self, module, name):
        """The number in `module.name`, an address."""
        return {"call": "PyLong_AsVoidPtr", "args": [self.attribute(module, name)]}

    def object(self, module, name, key):
        """The object in `module.name[key]`, which is kept alive by whoever put it there."""
        table = {"value": self._attribute(module, name)}
        return {"call": "PyDict_GetItemString", "args": [table, {"string": key}]}

    def capsule(self, module, name, key, signature):
        """The pointer in the capsule `module.name[key]`."""
        self._need(module, name, key)
        capsule = self.object(module, name, key)
        return {"call": "PyCapsule_GetPointer", "args": [capsule, {"string": signature}]}

    def _need(self, *need):
        if list(need) not in self._needs:
            self._needs.append(list(need))

    def _module(self, module):
        if module not in self._values:
            self._values.setdefault(THREAD, {"call": "PyGILState_GetThisThreadState"})
            # PyImport_ImportModule takes one argument. The second makes its value come first, and C functions do not
            # look at arguments that they do not know.
            arguments = [{"string": module}, {"value": THREAD}]
            self._values[module] = {"call": "PyImport_ImportModule", "args": arguments}
        return module

    def _attribute(self, module, name):
        value = f"{module}.{name}"
        if value not in self._values:
            arguments = [{"value": self._module(module)}, {"string": name}]
            self._values[value] = {"call": "PyObject_GetAttrString", "args": arguments}
        return value

    @property
    def values(self):
        """Entries for the session map's `values`."""
        return [{"name": name, "init": init} for name, init in self._values.items()]

    @property
    def needs(self):
        """What must be there when the library is loaded: lists of module, attribute, and key or `None`."""
        return self._needs
