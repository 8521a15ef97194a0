# The address of the data beside the word is taken: what is read from there is not known.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused not only read as a whole: lea
        .globl  get
        .type   get, @function
get:    mov     .Lpool(%rip), %rax
        lea     .Lpool-8(%rip), %rcx
        add     .Lpool-8(%rip), %rax
        mov     (%rcx,%rdi,8), %rdx
        ret
        .balign 8
        .quad   1
.Lpool: .quad   SESSION(cell)
        .size   get, . - get
