# An address before a value, in what its maker keeps there, belongs to the value.
#: map {"values": [{"address": "0x7f1234570010", "name": "made", "size": 16, "header": 8,
#: map              "init": {"call": "make"}}]}
#: place .text+0x2 value made+-8 slot
#: place .text+0xd value made+8 slot
#: calls 1
#: driver
#: | #include <stdio.h>
#: | static long block[] = {70, 71, 72}, calls;
#: | long *make(void) { calls++; return block + 1; }
#: | long *before(void), *inside(void);
#: | int main(void) { printf("%ld %ld %ld\n", *before(), *inside(), calls); }
#: stdout 70 72 1
        .globl  before, inside
        .type   before, @function
        .type   inside, @function
before: movabs  $SESSION(made)-8, %rax
        ret
        .size   before, . - before
inside: movabs  $SESSION(made)+8, %rax
        ret
        .size   inside, . - inside
