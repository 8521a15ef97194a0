# A word among the code that no instruction reads may be anything.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused none of them reads
        .globl  get
        .type   get, @function
get:    xor     %eax, %eax
        ret
        .size   get, . - get
        .balign 8
        .byte   6
        .balign 8
        .quad   SESSION(cell)
