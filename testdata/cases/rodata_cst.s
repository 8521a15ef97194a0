# Compilers keep pairs of addresses in mergeable constants, for vector stores. They are not mergeable any more.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .rodata.cst16+0x0 symbol cell+0 direct
#: place .rodata.cst16+0x8 symbol cell+16 direct
#: place .rodata.cst16+0x10 symbol cell+0 direct
#: place .rodata.cst16+0x28 symbol cell+0 direct
#: place .rodata.cst8+0x0 symbol cell+1 direct
#: section .rodata.cst8 .data.rel.ro.cst8
#: section .rodata.cst16 .data.rel.ro.cst16
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | void both(void **), left(void **), right(void **), *single(void);
#: | int main(void) {
#: |     void *p[2];
#: |     both(p), printf("%d %d\n", p[0] == cell, p[1] == cell + 16);
#: |     left(p), printf("%d %ld\n", p[0] == cell, (long)p[1]);
#: |     right(p), printf("%ld %d\n", (long)p[0], p[1] == cell);
#: |     printf("%d\n", single() == cell + 1);
#: | }
#: stdout 1 1
#: stdout 1 9
#: stdout 9 1
#: stdout 1
        .macro  store name, pair
        .globl  \name
        .type   \name, @function
\name: movaps  \pair(%rip), %xmm0
        movups  %xmm0, (%rdi)
        ret
        .size   \name, . - \name
        .endm

        .text
        store   both, .Lboth
        store   left, .Lleft
        store   right, .Lright
        .globl  single
        .type   single, @function
single: mov     .Lsingle(%rip), %rax
        ret
        .size   single, . - single

        .section .rodata.cst16, "aM", @progbits, 16
        .balign 16
.Lboth: .quad   SESSION(cell), SESSION(cell)+16
.Lleft: .quad   SESSION(cell), 9
.Lright: .quad  9, SESSION(cell)
        .section .rodata.cst8, "aM", @progbits, 8
        .balign 8
.Lsingle: .quad SESSION(cell)+1
