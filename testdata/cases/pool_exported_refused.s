# Another object can read the word by its name.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused other objects can read it as `pool`
        .globl  get, pool
        .type   get, @function
get:    mov     .Lpool(%rip), %rax
        ret
        .balign 8
pool:
.Lpool: .quad   SESSION(cell)
        .size   get, . - get
