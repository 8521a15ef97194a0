# A thing of the session's heap: a copy of its bytes in the object, reached through a slot.
#: map {"values": [{"address": "0x7f1234570000", "name": "block", "size": 16,
#: map              "init": {"bytes": "AQAAAAAAAAACAAAAAAAAAA==", "align": 16, "writable": true}}]}
#: place .text+0x2 value block+0 slot
#: place .text+0xd value block+8 slot
#: oracle no
#: driver
#: | #include <stdio.h>
#: | long *block(void), *next(void);
#: | int main(void) {
#: |     printf("%ld %ld %d\n", *block(), *next(), next() - block() == 1);
#: |     *block() += 40;
#: |     printf("%ld\n", *block());
#: | }
#: stdout 1 2 1
#: stdout 41
        .globl  block, next
        .type   block, @function
        .type   next, @function
block:  movabs  $SESSION(block), %rax
        ret
        .size   block, . - block
next:   movabs  $SESSION(block)+8, %rax
        ret
        .size   next, . - next
