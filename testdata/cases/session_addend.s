# LLVM writes an address as the addend of a relocation against no symbol, with zero bytes in the section.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .data+0x0 symbol cell+0 direct
#: place .data+0x8 symbol cell+8 direct
#: oracle no
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | extern char *words[2];
#: | int main(void) { printf("%d %d\n", words[0] == cell, (int)(words[1] - cell)); }
#: stdout 1 8
        .data
        .globl  words
        .balign 8
        .type   words, @object
words:  .quad   0, 0
        .size   words, 16
        .reloc  words, R_X86_64_64, SESSION(cell)
        .reloc  words+8, R_X86_64_64, SESSION(cell)+8
