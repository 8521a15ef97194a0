# What the object defines for everybody, another definition may replace.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "shown", "size": 8}]}
#: place .text+0x2 symbol shown+0 got
#: driver
#: | #include <stdio.h>
#: | extern long shown;
#: | long get(void);
#: | int main(void) { shown = 5; printf("%ld\n", get()); }
#: stdout 5
        .globl  shown, get
        .type   get, @function
get:    movabs  $SESSION(shown), %rax
        mov     (%rax), %rax
        ret
        .size   get, . - get

        .data
        .balign 8
        .type   shown, @object
shown:  .quad   17
        .size   shown, 8
