# A word among the code that code reads.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused .text+0x8
        .globl  get
        .p2align 3
        .type   get, @function
get:    mov     .Lpool(%rip), %rax
        ret
.Lpool: .quad   SESSION(cell)
        .size   get, . - get
