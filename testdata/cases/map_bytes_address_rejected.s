# An address of the session where the map says that there is a number would be one in every process.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}],
#: map  "values": [{"name": "block", "address": "0x7f1234560800", "size": 16, "init": {"bytes": "BQAAAAAAAAAABFY0En8AAA=="}}]}
#: rejected the session map's bytes of the value `block` hold the session's address 0x7f1234560400 at 0x8: `words` says what that means
        .globl  get
        .type   get, @function
get:    movabs  $SESSION(block), %rax
        ret
        .size   get, . - get
