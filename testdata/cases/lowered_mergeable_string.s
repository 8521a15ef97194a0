# The linker merges the strings of two sections: only a symbol at the string itself finds the right piece.
#: place none
#: driver
#: | #include <stdio.h>
#: | const char *one(void), *two(void), *tail(void);
#: | int main(void) { printf("%s %s %s\n", one(), two(), tail()); }
#: stdout tail a longer tail tail
        .globl  one, two, tail
        .type   one, @function
        .type   two, @function
        .type   tail, @function
one:    movabs  $.Lone, %rax
        ret
        .size   one, . - one
two:    movabs  $.Ltwo, %rax
        ret
        .size   two, . - two
tail:   movabs  $.Ltwo+9, %rax
        ret
        .size   tail, . - tail

        .section .rodata.str1.1, "aMS", @progbits, 1
.Lone:  .asciz  "tail"
        .asciz  "in between"
.Ltwo:  .asciz  "a longer tail"
