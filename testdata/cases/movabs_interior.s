# An address inside a symbol comes from a slot, and equal ones share it.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .text+0x2 symbol cell+8 slot
#: place .text+0xd symbol cell+8 slot
#: place .text+0x1b symbol cell+63 slot
#: slots 2
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | char *eight(void), *again(void), *last(void);
#: | int main(void) { printf("%d %d %d\n", (int)(eight() - cell), (int)(again() - cell), (int)(last() - cell)); }
#: stdout 8 8 63
        .globl  eight, again, last
        .type   eight, @function
        .type   again, @function
        .type   last, @function
eight:  movabs  $SESSION(cell)+8, %rax
        ret
        .size   eight, . - eight
again:  movabs  $SESSION(cell)+8, %r11
        mov     %r11, %rax
        ret
        .size   again, . - again
last:   movabs  $SESSION(cell)+63, %rax
        ret
        .size   last, . - last
