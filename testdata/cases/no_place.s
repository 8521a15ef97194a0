# Floats, masks, hashes and small numbers are no addresses, and neither is what no mapping has.
#: place none
#: lowered none
#: section none
#: driver
#: | #include <stdio.h>
#: | unsigned long mask(void), high(void), hash(void);
#: | extern const double numbers[2];
#: | int main(void) { printf("%lx %lx %lx %g %g\n", mask(), high(), hash(), numbers[0], numbers[1]); }
#: stdout 7fffffffffffffff 7f12 9e3779b97f4a7c15 0.5 -3
        .globl  mask, high, hash, numbers
        .type   mask, @function
        .type   high, @function
        .type   hash, @function
mask:   movabs  $0x7fffffffffffffff, %rax
        ret
        .size   mask, . - mask
high:   mov     $0x7f12, %eax
        ret
        .size   high, . - high
hash:   movabs  $0x9e3779b97f4a7c15, %rax
        ret
        .size   hash, . - hash
        .section .rodata, "a", @progbits
        .balign 8
        .type   numbers, @object
numbers:
        .double 0.5, -3.0
        .size   numbers, 16
