# At fixed addresses such an access is what compilers write anyhow.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: options --relocation-model static
#: modes static,no-pie
#: place .text+0x3 symbol cell+8 relative
#: driver
#: | #include <stdio.h>
#: | long cell[8] = {1, 2};
#: | extern long get(void);
#: | int main(void) { printf("%ld\n", get()); }
#: stdout 2
        .globl  get
        .type   get, @function
get:    .reloc  .+3, R_X86_64_PC32, SESSION(cell)+8-4
        .byte   0x48, 0x8b, 0x05, 0, 0, 0, 0
        ret
        .size   get, . - get
