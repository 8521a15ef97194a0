# The instruction accesses memory of another module pc-relatively: it may end up too far away.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused .text+0x3 (get): 0x7f1234560408 is the addend of a relocation (Pc32) without a symbol
#: refused mov (%rip),%rax
        .globl  get
        .type   get, @function
get:    .reloc  .+3, R_X86_64_PC32, SESSION(cell)+8-4
        .byte   0x48, 0x8b, 0x05, 0, 0, 0, 0
        ret
        .size   get, . - get
