"""Checks of exceptions, for the scripts beside it."""
import os
import sys

import relocfix_numba

folder = sys.argv[1]


def refused(kind, words, *arguments, **options):
    """Checks that a call raises that exception with these words in its message."""
    call = options.pop("call", relocfix_numba.save)
    try:
        call(*arguments, **options)
    except kind as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, (missing, str(error))
    else:
        raise AssertionError(f"{arguments} were to be refused")


def not_saved(words, *arguments, **options):
    """Checks that a function is not saved, and that nothing is written."""
    os.makedirs(folder, exist_ok=True)
    before = os.listdir(folder)
    refused(relocfix_numba.NotPortable, words, *arguments, folder, **options)
    assert os.listdir(folder) == before, "something was written"
