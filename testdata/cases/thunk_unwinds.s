# A handler that walks the stack at every instruction on the way through thunks finds the same callers as outside: the
# place in the function, then the function that called it.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64}, {"address": "0x404080", "name": "own", "size": 64},
#: map              {"address": "0x4040c0", "name": "back", "size": 64}]}
#: place .text symbol low+0 thunk
#: place .text symbol own+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol own+0 thunk
#: place .text symbol low+8 thunk
#: place .text symbol low+0 thunk
#: place .text symbol own+8 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+16 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+24 thunk
#: place .text symbol low+40 thunk
#: place .text symbol low+40 thunk
#: place .text symbol low+32 thunk
#: thunks 18
#: driver step.c
#: stdout 1 1 2 0
        .globl  code_begin, code_end, behind_call
        # Linkers warn of what is shared and has no type or size.
        .irp    label code_begin, code_end, behind_call
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
        # The frame counts from the stack pointer.
        function no_frame
        movq    $SESSION(low), -8(%rsp)
        movq    $SESSION(own), -8(%rsp)
        mov     $SESSION(low), %eax
        mov     (%rax), %rcx
        cmp     $SESSION(own), %rcx
        mov     SESSION(low)+8, %rax
        movq    $SESSION(low), SESSION(own)+8
        ret
        end no_frame

        # From the frame pointer.
        function with_frame
        push    %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        push    %rbx
        .cfi_offset %rbx, -24
        mov     $1, %ebx
        sub     $8, %rsp
        cmp     $SESSION(low), %rbx
        push    $SESSION(low)
        push    $SESSION(low)
        add     $24, %rsp
        pop     %rbx
        .cfi_restore %rbx
        pop     %rbp
        .cfi_def_cfa %rsp, 8
        ret
        end with_frame

        # The stack pointer moves at the place itself, and a call comes back.
        function with_pushes
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rbx, -16
        xor     %ebx, %ebx
        mov     %rsp, SESSION(low)+40
        push    $0
        .cfi_adjust_cfa_offset 8
        pop     SESSION(low)+40
        .cfi_adjust_cfa_offset -8
        add     %rax, SESSION(low)+16
        push    $SESSION(low)
        .cfi_adjust_cfa_offset 8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        push    SESSION(low)+32(,%rbx,8)
        .cfi_adjust_cfa_offset 8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        lea     SESSION(low)(,%rbx,8), %rax
        call    *SESSION(low)+24
behind_call:
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret
        end with_pushes

        # As gcc aligns a stack: the frame's address lies in memory.
        function aligned_frame
        lea     8(%rsp), %r10
        .cfi_def_cfa %r10, 0
        mov     %rax, SESSION(low)
        and     $-32, %rsp
        push    -8(%r10)
        push    %rbp
        mov     %rsp, %rbp
        # DW_CFA_expression: %rbp lies at %rbp+0.
        .cfi_escape 0x10, 0x6, 0x2, 0x76, 0
        push    %r10
        # DW_CFA_def_cfa_expression: what %rbp-8 holds.
        .cfi_escape 0xf, 0x3, 0x76, 0x78, 0x6
        add     SESSION(low), %rax
        pop     %r10
        .cfi_def_cfa %r10, 0
        pop     %rbp
        .cfi_restore %rbp
        lea     -8(%r10), %rsp
        .cfi_def_cfa %rsp, 8
        ret
        end aligned_frame
code_end:
        nop

        # More than 90 instructions are the thunks'.
        .section .data.rel.ro, "aw"
        .balign 8
        .globl  steps
        .type   steps, @object
steps:  .quad   90, no_frame, with_frame, with_pushes, aligned_frame, 0
        .size   steps, . - steps

        .bss
        .balign 16
        .local  own
own:    .zero   64
