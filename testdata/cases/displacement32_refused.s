# An absolute operand in a small executable.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 16}]}
#: refused .text+0x4
        .globl  get
        .type   get, @function
get:    mov     0x404048, %rax
        ret
        .size   get, . - get
