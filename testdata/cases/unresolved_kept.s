# With `keep`, what is not known stays, and what is known is fixed all the same.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: options --unresolved keep
#: place .text+0x2 none kept
#: place .text+0xd symbol cell+0 got
#: driver
#: | #include <stdio.h>
#: | char cell[64], *get(void);
#: | unsigned long kept(void);
#: | int main(void) { printf("%lx %d\n", kept(), get() == cell); }
#: stdout 7f1234000010 1
        .globl  kept, get
        .type   kept, @function
        .type   get, @function
kept:   movabs  $0x7f1234000010, %rax
        ret
        .size   kept, . - kept
get:    movabs  $SESSION(cell), %rax
        ret
        .size   get, . - get
