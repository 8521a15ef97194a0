"""What of the running Python and Numba a saved function depends on."""
import sys

import llvmlite
import numba
import numpy
from numba.core import config
from numba.core.registry import cpu_target


def made_with():
    """Versions and processor settings: a function saved under others is stale."""
    codegen = cpu_target.target_context.codegen()
    triple, processor, features = codegen.magic_tuple()
    return {
        "Python": ".".join(map(str, sys.version_info[:2])) + sys.abiflags,
        "Numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "NumPy": numpy.__version__,
        "target": triple,
        "processor": processor,
        "features": features,
        "optimization": str(config.OPT),
        "bounds checks": config.BOUNDSCHECK,
    }
