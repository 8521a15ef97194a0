# A word that means a value is stored by the initializer: read-only data must become plainly writable for that.
#: map {"values": [{"address": "0x7f1234570000", "name": "made", "size": 8,
#: map              "init": {"call": "make", "args": [{"int": 21}]}}]}
#: place .data+0x0 value made+0 init
#: place .rodata+0x8 value made+4 init
#: section .rodata .data
#: calls 1
#: oracle no
#: driver
#: | #include <stdio.h>
#: | static long made[2];
#: | void *make(int n) { made[0] = 2 * n; return made; }
#: | extern long *pointer; extern char *const words[2];
#: | int main(void) { printf("%ld %ld %d\n", *pointer, (long)words[0], words[1] == (char *)made + 4); }
#: stdout 42 1 1
        .data
        .globl  pointer, words
        .balign 8
        .type   pointer, @object
pointer:
        .quad   SESSION(made)
        .size   pointer, 8
        .section .rodata, "a", @progbits
        .balign 8
        .type   words, @object
words:  .quad   1, SESSION(made)+4
        .size   words, 16
