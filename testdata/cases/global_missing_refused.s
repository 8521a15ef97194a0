# A variable that the object does not have.
#: map {"globals": [{"symbol": "absent", "init": {"int": 1}}]}
#: refused absent
        .globl  f
        .type   f, @function
f:      ret
        .size   f, 1
