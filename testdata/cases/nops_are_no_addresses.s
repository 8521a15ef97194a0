# `0f 1f 84 00 00 00 00 00` is a nop. Read as a word it is an address in a small executable.
#: map {"mappings": [{"start": "0x400000", "end": "0xa00000", "perms": "r-xp"},
#: map               {"start": "0x7f1234000000", "end": "0x7f1235000000", "perms": "rwxp"}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .text+0x12 symbol cell+0 got
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | char *get(void);
#: | int main(void) { printf("%d\n", get() == cell); }
#: stdout 1
        .p2align 4
        .globl  none, get
        .type   none, @function
none:   ret
        .size   none, . - none
        .byte   0x0f, 0x1f, 0x80, 0, 0, 0, 0
        .byte   0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0
        .type   get, @function
get:    movabs  $SESSION(cell), %rax
        ret
        .size   get, . - get
