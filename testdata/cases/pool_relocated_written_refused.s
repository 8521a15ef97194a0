# A relocated word among the code that code also stores into, and one that nothing reads.
#: refused .text+0x10 (get): the absolute relocation against `cell`: cannot be replaced: `mov %rax,0x2(%rip)`, which reads it, does more than read there; recompile
#: refused .text+0x18 (get): the absolute relocation against `cell` is no instruction's constant
        .globl  get
        .p2align 4
        .type   get, @function
get:    mov     .Lpool(%rip), %rax
        mov     %rax, .Lpool(%rip)
        ret
        .balign 16
.Lpool: .quad   cell
        .quad   cell
        .size   get, . - get
