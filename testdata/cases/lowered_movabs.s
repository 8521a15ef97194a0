# Code of the large model refers to everything by `movabs` with a relocation that no shared library can have.
#: place none
#: driver
#: | #include <stdio.h>
#: | char outside[16];
#: | char *at(void), *in(void), *mine(void), *hers(void), *far(void), *text(void), *second(void), (*code(void))(void);
#: | int main(void) {
#: |     printf("%d %d\n", at() == outside, (int)(in() - outside));
#: |     printf("%c %c %c %s %s\n", *mine(), *hers(), *far(), text(), second());
#: |     printf("%c\n", code()());
#: | }
#: stdout 1 8
#: stdout m h f first second
#: stdout c
        .macro  give name, address
        .globl  \name
        .type   \name, @function
\name:  movabs  $\address, %rax
        ret
        .size   \name, . - \name
        .endm

        .text
        give    at, outside
        give    in, outside+8
        give    mine, my_data
        give    hers, hidden_data
        give    far, far_data
        give    text, .Lfirst
        give    second, .Lsecond
        give    code, my_code
        .type   my_code, @function
my_code:
        mov     $'c', %eax
        ret
        .size   my_code, . - my_code

        .data
my_data:
        .byte   'm'
        .hidden hidden_data
        .globl  hidden_data
hidden_data:
        .byte   'h'
        .section .ldata, "awl", @progbits
far_data:
        .byte   'f'
        .section .rodata.str1.1, "aMS", @progbits, 1
.Lfirst:
        .asciz  "first"
.Lsecond:
        .asciz  "second"
