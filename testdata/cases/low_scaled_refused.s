# `lea` with an index and no base computes with any number: inside of a variable it may be none of the session's.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64}]}
#: refused .text+0x4 (packed): 0x404048 is a 32-bit operand, and as an address inside low: perhaps none
#: refused : `lea 0x404048(,%rdi,8),%rax`
        .globl  packed
        .type   packed, @function
packed: lea     SESSION(low)+8(,%rdi,8), %rax
        ret
        .size   packed, . - packed
