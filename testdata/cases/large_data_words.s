# Sections of the large model stay in the large model.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .ldata+0x0 symbol cell+0 direct
#: place .lrodata+0x0 symbol cell+8 direct
#: section .lrodata .ldata.rel.ro
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | void *writable(void), *constant(void);
#: | int main(void) { printf("%d %d\n", writable() == cell, constant() == cell + 8); }
#: stdout 1 1
        .globl  writable, constant
        .type   writable, @function
        .type   constant, @function
writable:
        movabs  $.Lwritable, %rax
        mov     (%rax), %rax
        ret
        .size   writable, . - writable
constant:
        movabs  $.Lconstant, %rax
        mov     (%rax), %rax
        ret
        .size   constant, . - constant

        .section .ldata, "awl", @progbits
        .balign 8
.Lwritable:
        .quad   SESSION(cell)
        .section .lrodata, "al", @progbits
        .balign 8
.Lconstant:
        .quad   SESSION(cell)+8
