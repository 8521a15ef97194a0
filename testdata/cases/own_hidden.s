# What the object itself defines and nobody can replace is near: its address is computed.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "own_data", "size": 16},
#: map              {"address": "0x7f1234560500", "name": "own_code", "size": 6}]}
#: place .text+0x8 symbol own_data+0 relative
#: place .text+0x13 symbol own_data+8 relative
#: place .text+0x1e symbol own_code+0 relative
#: slots 0
#: driver
#: | #include <stdio.h>
#: | long *data(void), *second(void), (*code(void))(void);
#: | int main(void) { printf("%ld %ld %ld\n", *data(), *second(), code()()); }
#: stdout 17 18 7
        .hidden own_data, own_code
        .globl  own_data, own_code, data, second, code
        .type   own_code, @function
        .type   data, @function
        .type   second, @function
        .type   code, @function
own_code:
        mov     $7, %eax
        ret
        .size   own_code, . - own_code
data:   movabs  $SESSION(own_data), %rax
        ret
        .size   data, . - data
second: movabs  $SESSION(own_data)+8, %rax
        ret
        .size   second, . - second
code:   movabs  $SESSION(own_code), %rax
        ret
        .size   code, . - code

        .data
        .balign 8
        .type   own_data, @object
own_data:
        .quad   17, 18
        .size   own_data, . - own_data
