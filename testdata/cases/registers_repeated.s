# The same addresses in every register, over and over: by symbol, by symbol and offset, and where the object has them itself.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x7f1234560800", "name": "pair", "size": 16}, {"address": "0x7f1234560c00", "name": "own", "size": 8}]}
#: place .text+0x10 symbol pair+0 got
#: place .text+0x1d symbol pair+8 slot
#: place .text+0x2a symbol own+0 relative
#: place .text+0x37 symbol pair+0 got
#: place .text+0x44 symbol pair+8 slot
#: place .text+0x51 symbol own+0 relative
#: place .text+0x5e symbol pair+0 got
#: place .text+0x6b symbol pair+8 slot
#: place .text+0x78 symbol own+0 relative
#: place .text+0x85 symbol pair+0 got
#: place .text+0x92 symbol pair+8 slot
#: place .text+0x9f symbol own+0 relative
#: place .text+0xac symbol pair+0 got
#: place .text+0xb9 symbol pair+8 slot
#: place .text+0xc6 symbol own+0 relative
#: place .text+0xd3 symbol pair+0 got
#: place .text+0xe0 symbol pair+8 slot
#: place .text+0xed symbol own+0 relative
#: place .text+0xfa symbol pair+0 got
#: place .text+0x107 symbol pair+8 slot
#: place .text+0x114 symbol own+0 relative
#: place .text+0x121 symbol pair+0 got
#: place .text+0x12e symbol pair+8 slot
#: place .text+0x13b symbol own+0 relative
#: place .text+0x148 symbol pair+0 got
#: place .text+0x155 symbol pair+8 slot
#: place .text+0x162 symbol own+0 relative
#: place .text+0x16f symbol pair+0 got
#: place .text+0x17d symbol pair+8 slot
#: place .text+0x18b symbol own+0 relative
#: place .text+0x199 symbol pair+0 got
#: place .text+0x1a7 symbol pair+8 slot
#: place .text+0x1b5 symbol own+0 relative
#: place .text+0x1c3 symbol pair+0 got
#: place .text+0x1d0 symbol pair+8 slot
#: place .text+0x1dd symbol own+0 relative
#: place .text+0x1ea symbol pair+0 got
#: place .text+0x1f7 symbol pair+8 slot
#: place .text+0x204 symbol own+0 relative
#: place .text+0x211 symbol pair+0 got
#: place .text+0x21e symbol pair+8 slot
#: place .text+0x22b symbol own+0 relative
#: driver
#: | #include <stdio.h>
#: | long pair[2] = {42, 43};
#: | long sum(void);
#: | int main(void) { printf("%ld\n", sum()); }
#: stdout 1288
        .macro  each register
        movabs  $SESSION(pair), %\register
        add     (%\register), %rax
        movabs  $SESSION(pair) + 8, %\register
        add     (%\register), %rax
        movabs  $SESSION(own), %\register
        add     (%\register), %rax
        .endm
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        push    %rbx
        .cfi_def_cfa_offset 16
        .cfi_offset 3, -16
        push    %r12
        .cfi_def_cfa_offset 24
        .cfi_offset 12, -24
        push    %r13
        .cfi_def_cfa_offset 32
        .cfi_offset 13, -32
        push    %r14
        .cfi_def_cfa_offset 40
        .cfi_offset 14, -40
        push    %r15
        .cfi_def_cfa_offset 48
        .cfi_offset 15, -48
        mov     $0, %eax
        .irp    register, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rbx
        each    \register
        .endr
        pop     %r15
        .cfi_def_cfa_offset 40
        pop     %r14
        .cfi_def_cfa_offset 32
        pop     %r13
        .cfi_def_cfa_offset 24
        pop     %r12
        .cfi_def_cfa_offset 16
        pop     %rbx
        .cfi_def_cfa_offset 8
        ret
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function sum

        .data
        .balign 8
        .local  own
own:    .quad   7
        .section .note.GNU-stack, "", @progbits
