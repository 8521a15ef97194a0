# Vector constants among the code: the instruction reads two words at once, addresses both or one of them.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560800", "name": "other", "size": 8}]}
#: place .text+0x20 symbol cell+0 slot
#: place .text+0x28 symbol other+0 slot
#: place .text+0x30 symbol cell+16 slot
#: slots 2
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | long other;
#: | extern void pair(void *[2]), half(void *[2]);
#: | int main(void) {
#: |   void *p[2] = {0}, *q[2] = {0};
#: |   pair(p);
#: |   half(q);
#: |   printf("%d %d %d %ld\n", p[0] == cell, p[1] == &other, q[0] == cell + 16, (long)q[1]);
#: | }
#: stdout 1 1 1 123
        .globl  pair, half
        .type   pair, @function
pair:   movdqa  .Lpair(%rip), %xmm0
        movups  %xmm0, (%rdi)
        ret
        .size   pair, . - pair
        .type   half, @function
half:   movaps  .Lhalf(%rip), %xmm1
        movups  %xmm1, (%rdi)
        movdqa  .Lhalf(%rip), %xmm0
        ret
        .balign 16
        .balign 16
.Lpair: .quad   SESSION(cell), SESSION(other)
.Lhalf: .quad   SESSION(cell)+16, 123
        .size   half, . - half
