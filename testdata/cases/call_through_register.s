# What JITs do most: an address into a register, and a call through it.
#: map {"symbols": [{"address": "0x7f1234560800", "name": "labs", "library": "libc.so.6"}]}
#: place .text+0x6 symbol labs+0 got
#: driver
#: | #include <stdio.h>
#: | long distance(long);
#: | int main(void) { printf("%ld\n", distance(-41)); }
#: stdout 42
        .globl  distance
        .type   distance, @function
distance:
        .cfi_startproc
        sub     $8, %rsp
        .cfi_def_cfa_offset 16
        movabs  $SESSION(labs), %rax
        call    *%rax
        add     $1, %rax
        add     $8, %rsp
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        .size   distance, . - distance
