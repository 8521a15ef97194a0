# Numbers that are as large as halves of an address: they are of two words, or together no address of the session.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 16}]}
#: place .text symbol cell+0 got
#: driver
#: | #include <stdio.h>
#: | long cell[2];
#: | long *numbers(unsigned *, unsigned *);
#: | int main(void) {
#: |   unsigned a[8] = {0}, b[8] = {0};
#: |   printf("%d\n", numbers(a, b) == cell);
#: |   printf("%x %x %x %x %x\n", a[0], b[1], a[2], a[3], a[5]);
#: | }
#: stdout 1
#: stdout 34560400 7f12 12345678 7f12 7f12
        .globl  numbers
        .type   numbers, @function
numbers:
        movl    $0x34560400, (%rdi)
        movl    $0x7f12, 4(%rsi)
        movl    $0x12345678, 8(%rdi)
        movl    $0x7f12, 12(%rdi)
        movl    $0x7f12, 20(%rdi)
        movabs  $SESSION(cell), %rax
        ret
        .size   numbers, . - numbers
