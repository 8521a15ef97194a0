# An instruction reads half of the word: with another address the half is another number.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused not only read as a whole
        .globl  get
        .type   get, @function
get:    mov     .Lpool(%rip), %rax
        mov     .Lpool+4(%rip), %eax
        ret
        .balign 16
.Lpool: .quad   SESSION(cell)
        .size   get, . - get
