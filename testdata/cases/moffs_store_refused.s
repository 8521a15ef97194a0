# A store needs a register for the address, and none is known to be free.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused .text+0x2
        .globl  put
        .type   put, @function
put:    movabs  %rax, SESSION(cell)
        ret
        .size   put, . - put
