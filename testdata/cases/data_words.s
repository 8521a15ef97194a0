# Words of writable data keep their section: an ordinary relocation stands where the address stood.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .data+0x0 symbol cell+0 direct
#: place .data+0x8 symbol cell+8 direct
#: place .data+0x18 symbol cell+63 direct
#: slots 0
#: section none
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | extern char *words[4];
#: | int main(void) {
#: |     printf("%d %d %ld %d\n", words[0] == cell, (int)(words[1] - cell), (long)words[2], (int)(words[3] - cell));
#: | }
#: stdout 1 8 5 63
        .data
        .globl  words
        .balign 8
        .type   words, @object
words:  .quad   SESSION(cell)
        .quad   SESSION(cell)+8
        .quad   5
        .quad   SESSION(cell)+63
        .size   words, . - words
