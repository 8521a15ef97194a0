# A word among the code of a group: the slot of what is local to the group goes with it.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560c00", "name": "own", "size": 16}]}
#: place .text.get+0x10 symbol cell+8 slot
#: place .text.get+0x18 symbol own+0 slot
#: oracle no
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | extern char *get(void);
#: | extern long *mine(void);
#: | int main(void) { printf("%d %ld\n", get() == cell + 8, *mine()); }
#: stdout 1 5
        .section .text.get, "axG", @progbits, get, comdat
        .weak   get, mine
        .type   get, @function
        .type   mine, @function
get:    mov     .Lcell(%rip), %rax
        ret
mine:   mov     .Lown(%rip), %rax
        ret
.Lcell: .quad   SESSION(cell)+8
.Lown:  .quad   SESSION(own)
        .size   mine, . - mine
        .section .data.get, "awG", @progbits, get, comdat
        .balign 8
own:    .quad   5
