# gcc keeps the end of a loop over a table as its address shifted right by three. No mapping shows such a number: the
# map declares it.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}],
#: map  "constants": [{"constant": "0xfe2468ac080", "init": {"shr": [{"symbol": "cell"}, 3]}}]}
#: place .text+0x2 constant cell >> 3+0 slot
#: oracle no
#: driver
#: | #include <stdint.h>
#: | #include <stdio.h>
#: | char cell[64];
#: | uintptr_t shifted(void);
#: | int main(void) { printf("%d\n", shifted() == (uintptr_t)cell >> 3); }
#: stdout 1
        .globl  shifted
        .type   shifted, @function
shifted:
        movabs  $0xfe2468ac080, %rax
        ret
        .size   shifted, . - shifted
