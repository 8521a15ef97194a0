# Calls and jumps through absolute words. The return address of a call stays where it was, behind the place. A
# jump that may be inside a function leaves every register as it is.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64}, {"address": "0x404080", "name": "own", "size": 64}]}
#: thunks 5
#: place .text symbol low+8 thunk
#: place .text symbol low+0 thunk
#: place .text symbol own+0 relative
#: place .text symbol low+8 thunk
#: place .text symbol low+0 thunk
#: place .text symbol own+0 relative
#: place .text symbol own+0 thunk
#: driver
#: | #include <stdio.h>
#: | long where(long x) { return x; }
#: | long other(long x) { return x + 100; }
#: | long back(long x) { return (long)__builtin_return_address(0); }
#: | long (*low[8])(long) = {back, where, other};
#: | long call(long), is_behind(void), call_own(long), jump(long), jump_table(long, long), jump_own(long), own_table(long);
#: | void set_own(void *);
#: | int main(void) {
#: |   set_own((void *)other);
#: |   printf("%ld %ld %ld\n", call(5), is_behind(), call_own(6));
#: |   printf("%ld %ld %ld %ld\n", jump(7), jump_table(1, 8), jump_table(2, 8), jump_own(9));
#: |   printf("%ld\n", own_table(0));
#: | }
#: stdout 5 1 106
#: stdout 7 8 108 109
#: stdout 31
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function call
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    *SESSION(low)+8
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        end call
        function is_behind
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        mov     $1, %edi
        xor     %ecx, %ecx
        call    *SESSION(low)(,%rcx,8)
1:      lea     1b(%rip), %rcx
        cmp     %rax, %rcx
        sete    %al
        movzbl  %al, %eax
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        end is_behind
        function call_own
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    *SESSION(own)
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        end call_own
        function jump
        jmp     *SESSION(low)+8
        end jump
        function jump_table
        mov     %rdi, %rax
        mov     %rsi, %rdi
        jmp     *SESSION(low)(,%rax,8)
        end jump_table
        function jump_own
        jmp     *SESSION(own)
        end jump_own
        # Registers, flags and the area below the stack pointer on the way.
        function own_table
        lea     1f(%rip), %rcx
        mov     %rcx, own+8(%rip)
        movq    $5, -8(%rsp)
        movq    $6, -128(%rsp)
        mov     $7, %ecx
        mov     $1, %eax
        mov     $13, %edx
        stc
        jmp     *SESSION(own)(,%rax,8)
        ud2
1:      jnc     2f
        lea     (%rcx,%rdx), %rax
        add     -8(%rsp), %rax
        add     -128(%rsp), %rax
        ret
2:      ud2
        end own_table
        function set_own
        mov     %rdi, own(%rip)
        ret
        end set_own

        .bss
        .balign 16
        .local  own
own:    .zero   64
