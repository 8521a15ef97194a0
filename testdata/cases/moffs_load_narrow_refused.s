# A load into %al leaves the rest of %rax as it is: there is no room for the address.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: refused .text+0x1
        .globl  narrow
        .type   narrow, @function
narrow: movabs  SESSION(cell), %al
        ret
        .size   narrow, . - narrow
