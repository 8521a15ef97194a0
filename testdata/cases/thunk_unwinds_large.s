# The same at the thunks of the large model's code, which lie beside it, and at those that take a half or the distance
# of what a witness shows.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"},
#: map              {"start": "0x7f5091560000", "end": "0x7f5091570000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "low", "size": 64}, {"address": "0x7f1234560440", "name": "own", "size": 16},
#: map              {"address": "0x7f5091560480", "name": "far", "size": 16}]}
#: witness
#: oracle no
#: thunks 8
#: place .text expression (uint32_t)low+0 thunk
#: place .text expression low >> 32+0 thunk
#: place .text expression (uint32_t)far+0 thunk
#: place .text expression (uint32_t)own+0 thunk
#: place .text expression (uint32_t)low+0 thunk
#: place .ltext symbol low+24 thunk
#: place .ltext symbol low+8 thunk
#: place .ltext symbol own+8 thunk
#: driver step.c
#: | long far[2];
#: stdout 1 1 0 0
        .globl  code_begin, code_end, large_begin, large_end, behind_call
        .irp    label code_begin, code_end, large_begin, large_end, behind_call
        .type   \label, @function
        .size   \label, 1
        .endr
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

code_begin:
        function halves
        movl    $SESSION(low) & 0xffffffff, -16(%rsp)
        movl    $SESSION(low) >> 32, -12(%rsp)
        push    $(SESSION(far) & 0xffffffff) - 0x100000000
        .cfi_adjust_cfa_offset 8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        add     $SESSION(own) & 0xffffffff, %eax
        ret
        end halves

        function framed_halves
        push    %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $32, %rsp
        cmpl    $SESSION(low) & 0xffffffff, -8(%rbp)
        leave
        .cfi_def_cfa %rsp, 8
        ret
        end framed_halves
code_end:
        nop

        .section .ltext, "axl", @progbits
large_begin:
        function large
        movabs  %rax, SESSION(low)+24
        ret
        end large

        function large_frame
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rbx, -16
        xor     %ebx, %ebx
        movabs  %al, SESSION(low)+8
        push    %rax
        .cfi_adjust_cfa_offset 8
        movabs  %eax, SESSION(own)+8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret
        end large_frame
large_end:
        nop
behind_call:
        nop

        # More than 20 instructions are the thunks'.
        .section .data.rel.ro, "aw"
        .balign 8
        .globl  steps
        .type   steps, @object
steps:  .quad   20, halves, framed_halves, large, large_frame, 0
        .size   steps, . - steps

        .bss
        .balign 16
        .local  own
own:    .zero   64
