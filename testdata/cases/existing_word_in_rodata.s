# Address tables of code that was not compiled as PIC: the words are right already, their section is not.
#: place none
#: section .rodata .data.rel.ro
#: driver
#: | #include <stdio.h>
#: | long outside = 4;
#: | extern long *const table[2];
#: | int main(void) { printf("%ld %ld\n", *table[0], *table[1]); }
#: stdout 4 6
        .data
        .balign 8
inside: .quad   6
        .section .rodata, "a", @progbits
        .globl  table
        .balign 8
        .type   table, @object
table:  .quad   outside, inside
        .size   table, 16
