# The address of a symbol comes from the global offset table.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .text+0x2 symbol cell+0 got
#: slots 0
#: driver
#: | #include <stdio.h>
#: | long cell = 42;
#: | long get(void);
#: | int main(void) { printf("%ld\n", get()); }
#: stdout 42
        .globl  get
        .type   get, @function
get:    movabs  $SESSION(cell), %rax
        mov     (%rax), %rax
        ret
        .size   get, . - get
