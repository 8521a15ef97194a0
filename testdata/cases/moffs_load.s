# gcc at -O2 loads from an absolute address into %rax: the address comes first, then the load through it.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .text+0x2 symbol cell+0 got
#: place .text+0xc symbol cell+0 got
#: place .text+0x17 symbol cell+8 slot
#: place .text+0x21 symbol cell+8 slot
#: driver
#: | #include <stdio.h>
#: | unsigned long cell[8] = {0x1122334455667788, 0x99aabbccddeeff00};
#: | unsigned long whole(void), half(void), other(void), otherhalf(void);
#: | int main(void) { printf("%lx %lx %lx %lx\n", whole(), half(), other(), otherhalf()); }
#: stdout 1122334455667788 55667788 99aabbccddeeff00 ddeeff00
        .globl  whole, half, other, otherhalf
        .type   whole, @function
        .type   half, @function
        .type   other, @function
        .type   otherhalf, @function
whole:  movabs  SESSION(cell), %rax
        ret
        .size   whole, . - whole
half:   movabs  SESSION(cell), %eax
        ret
        .size   half, . - half
other:  movabs  SESSION(cell)+8, %rax
        ret
        .size   other, . - other
otherhalf: movabs SESSION(cell)+8, %eax
        ret
        .size   otherhalf, . - otherhalf
