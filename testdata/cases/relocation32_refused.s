# Code for a fixed address: there is no room for anything else.
#: refused recompile
#: refused .text+0x1
        .globl  get
        .type   get, @function
get:    mov     $outside, %eax
        ret
        .size   get, . - get
