# Data of this object has the address of the word.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused that a relocation refers to
        .globl  get
        .type   get, @function
get:    mov     .Lpool(%rip), %rax
        ret
        .balign 8
.Lpool: .quad   SESSION(cell)
        .size   get, . - get
        .data
        .quad   .Lpool
