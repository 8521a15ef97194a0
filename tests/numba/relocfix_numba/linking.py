"""relocfix and the system's linker, run as commands."""
import os
import shlex
import subprocess

from .errors import CacheError, NotPortable


def fix(object_path, map_path, output_path):
    """Makes an ordinary object of a session's. The command is $RELOCFIX, else `relocfix`."""
    program = os.environ.get("RELOCFIX", "relocfix")
    done = _run([*shlex.split(program), "-q", object_path, "-s", map_path, "-o", output_path])
    if done.returncode == 1:
        raise NotPortable(done.stderr.strip())
    if done.returncode:
        raise CacheError(done.stderr.strip() or f"{program}: exit status {done.returncode}")


def link(objects, output_path, libraries=(), flags=()):
    """Links objects to a shared library that names the libraries it needs. The compiler is $CC, else `cc`."""
    command = shlex.split(os.environ.get("CC", "cc")) + ["-shared", "-fPIC", "-Wl,-z,text", "-Wl,-z,noexecstack", "-Wl,--build-id=sha1", *flags]
    command += ["-o", output_path, *objects, "-Wl,--no-as-needed", *libraries]
    folders = dict.fromkeys(os.path.dirname(library) for library in libraries)
    command += [f"-Wl,-rpath,{folder}" for folder in folders if not _is_default(folder)]
    done = _run(command)
    if done.returncode:
        raise CacheError(f"{shlex.join(command)}: {done.stderr.strip()}")


def _is_default(folder):
    """Whether the loader looks there anyway."""
    return folder in ("/lib", "/usr/lib", "/lib64", "/usr/lib64") or os.path.basename(folder).endswith("-linux-gnu")


def _run(command):
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise CacheError(f"{command[0]}: {error.strerror}; is it installed, and on the path?") from error
