# An address of the session where the map says that there is a number would be one in every process.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}],
#: map  "values": [{"name": "block", "address": "0x7f1234560800", "size": 16, "init": {"call": "make", "args": [{"int": 139716164191232}]}}]}
#: rejected the session map's number 0x7f1234560400 is an address of the session: `address` says so
        .globl  get
        .type   get, @function
get:    movabs  $SESSION(block), %rax
        ret
        .size   get, . - get
