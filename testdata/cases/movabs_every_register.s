# The sixteen destinations: the same length, the other encoding, every register but the destination intact.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .text+0xc symbol cell+0 got
#: place .text+0x19 symbol cell+0 got
#: place .text+0x27 symbol cell+0 got
#: place .text+0x35 symbol cell+0 got
#: place .text+0x46 symbol cell+0 got
#: place .text+0x57 symbol cell+0 got
#: place .text+0x65 symbol cell+0 got
#: place .text+0x73 symbol cell+0 got
#: place .text+0x81 symbol cell+0 got
#: place .text+0x8f symbol cell+0 got
#: place .text+0x9d symbol cell+0 got
#: place .text+0xab symbol cell+0 got
#: place .text+0xb9 symbol cell+0 got
#: place .text+0xc7 symbol cell+0 got
#: place .text+0xd5 symbol cell+0 got
#: place .text+0xe6 symbol cell+0 got
#: slots 0
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | void *all[16];
#: | void fill(void **);
#: | int main(void) {
#: |     int good = 0;
#: |     fill(all);
#: |     for (int i = 0; i < 16; i++) good += all[i] == cell;
#: |     printf("%d\n", good);
#: | }
#: stdout 16
        .macro  take register, index
        movabs  $SESSION(cell), %\register
        mov     %\register, 8*\index(%rdi)
        .endm

        .globl  fill
        .type   fill, @function
fill:   push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        take    rax, 0
        take    rcx, 1
        take    rdx, 2
        take    rbx, 3
        mov     %rsp, %rax
        take    rsp, 4
        mov     %rax, %rsp
        take    rbp, 5
        take    rsi, 6
        take    r8, 8
        take    r9, 9
        take    r10, 10
        take    r11, 11
        take    r12, 12
        take    r13, 13
        take    r14, 14
        take    r15, 15
        mov     %rdi, %rax
        movabs  $SESSION(cell), %rdi
        mov     %rdi, 56(%rax)
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret
        .size   fill, . - fill
