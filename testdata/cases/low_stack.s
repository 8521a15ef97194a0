# The stack pointer as an operand beside an absolute address or an immediate that is one, as a switch of stacks and a check
# of a stack's limit have it, and a pop to memory.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64}, {"address": "0x404080", "name": "own", "size": 64}]}
#: thunks 10
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+8 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+16 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+24 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+32 thunk
#: place .text symbol own+8 relative
#: place .text symbol own+8 relative
#: driver
#: | #include <stdio.h>
#: | long low[8], stack[64];
#: | long saved(void), limit(void), above(void), on_another(void), popped(long), own_saved(void);
#: | int main(void) {
#: |   low[2] = (long)(stack + 60);
#: |   printf("%ld ", saved()); low[1] = 0; printf("%ld", limit()); low[1] = -1; printf("%ld ", limit());
#: |   printf("%ld %ld ", above(), on_another()); printf("%ld ", stack[59]);
#: |   printf("%ld ", popped(4)); printf("%ld %ld %ld\n", low[3], low[4], own_saved());
#: | }
#: stdout 0 10 1 5 5 15 78 77 0
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function saved
        mov     %rsp, SESSION(low)
        mov     SESSION(low), %rax
        sub     %rsp, %rax
        ret
        end saved
        # 1: the stack is above the limit.
        function limit
        xor     %eax, %eax
        cmp     SESSION(low)+8, %rsp
        seta    %al
        ret
        end limit
        function above
        xor     %eax, %eax
        cmp     $SESSION(low), %rsp
        seta    %al
        ret
        end above
        function on_another
        mov     %rsp, SESSION(low)
        movq    $4, -128(%rsp)
        mov     SESSION(low)+16, %rsp
        push    $5
        pop     %rax
        mov     SESSION(low), %rsp
        cmpq    $4, -128(%rsp)
        jne     1f
        ret
1:      ud2
        end on_another
        function popped
        mov     %rdi, %rcx
        mov     %rdi, %rdx
        push    $78
        .cfi_adjust_cfa_offset 8
        popq    SESSION(low)+24
        .cfi_adjust_cfa_offset -8
        push    $77
        .cfi_adjust_cfa_offset 8
        movq    $7, -120(%rsp)
        popq    SESSION(low)(,%rcx,8)
        .cfi_adjust_cfa_offset -8
        mov     -128(%rsp), %rax
        add     %rcx, %rax
        add     %rdx, %rax
        cmpq    $77, SESSION(low)+32
        jne     1b
        ret
        end popped
        function own_saved
        mov     %rsp, SESSION(own)+8
        mov     SESSION(own)+8, %rax
        sub     %rsp, %rax
        ret
        end own_saved

        .bss
        .balign 8
        .local  own
own:    .zero   64
