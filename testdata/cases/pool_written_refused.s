# Code that stores into the word as well, as self-modifying code and inline caches do.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused .text+0x10 (get): 0x7f1234560400 cannot be replaced: `mov %rax,0x2(%rip)`, which reads it, does more than read there
        .globl  get
        .p2align 4
        .type   get, @function
get:    mov     .Lpool(%rip), %rax
        mov     %rax, .Lpool(%rip)
        ret
        .balign 16
.Lpool: .quad   SESSION(cell)
        .size   get, . - get
