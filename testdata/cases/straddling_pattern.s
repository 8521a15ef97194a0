# An address that the ends and beginnings of instructions spell is none, wherever it lies.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place none
#: stays
#: driver
#: | #include <stdio.h>
#: | long run(void);
#: | int main(void) { printf("%lx\n", run()); }
#: stdout 34560401
        .globl  run
        .p2align 4
        .type   run, @function
run:    mov     $1, %eax
        jmp     1f
        .byte   0x90
# 00 04 56 34 12 7f 00 00, eight bytes from here on, is the address of cell.
1:      .byte   0x81, 0xc0, 0x00, 0x04, 0x56, 0x34      # add $0x34560400, %eax
        jmp     2f
        .p2align 3
        nopw    0(%rax)
        .byte   0x90, 0x90
        .byte   0x81, 0xc3, 0x00, 0x04, 0x56, 0x34      # add $0x34560400, %ebx
        .byte   0x12, 0x7f, 0x00                        # adc 0(%rdi), %bh
        .byte   0x00, 0xc0                              # add %al, %al
2:      ret
        .size   run, . - run
