# What a map gives as bytes are numbers, also those that are as small as addresses of a process below 4 GiB.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "cell", "size": 64}],
#: map  "values": [{"name": "block", "address": "0x404800", "size": 16, "init": {"bytes": "QEBAAAAAAABQQEAAAAAAAA=="}}]}
#: stays
#: place .text+0x1 value block+0 thunk
#: driver
#: | #include <stdio.h>
#: | extern long *get(void);
#: | int main(void) { printf("%lx %lx\n", get()[0], get()[1]); }
#: stdout 404040 404050
        .globl  get
        .type   get, @function
get:    mov     $SESSION(block), %eax
        ret
        .size   get, . - get
