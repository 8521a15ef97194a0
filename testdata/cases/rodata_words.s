# Read-only data that comes to hold an address is protected only after relocation.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .rodata+0x0 symbol cell+0 direct
#: place .rodata+0x10 symbol cell+8 direct
#: section .rodata .data.rel.ro
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | extern char *const words[3];
#: | int main(void) { printf("%d %ld %d\n", words[0] == cell, (long)words[1], (int)(words[2] - cell)); }
#: stdout 1 7 8
        .section .rodata, "a", @progbits
        .globl  words
        .balign 8
        .type   words, @object
words:  .quad   SESSION(cell), 7, SESSION(cell)+8
        .size   words, . - words
