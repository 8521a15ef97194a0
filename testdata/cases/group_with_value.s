# What is synthesized for a section of a group belongs to the group.
#: map {"values": [{"address": "0x7f1234570000", "name": "made", "init": {"call": "make"}}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .text.once+0x2 value made+0 slot
#: place .text.once+0xf symbol cell+8 slot
#: oracle no
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | static long made = 8;
#: | long *make(void) { return &made; }
#: | long once(char **);
#: | int main(void) { char *p; long n = once(&p); printf("%ld %d\n", n, (int)(p - cell)); }
#: stdout 8 8
        .section .text.once, "axG", @progbits, once, comdat
        .weak   once
        .type   once, @function
once:   movabs  $SESSION(made), %rax
        mov     (%rax), %rax
        movabs  $SESSION(cell)+8, %rdx
        mov     %rdx, (%rdi)
        ret
        .size   once, . - once
