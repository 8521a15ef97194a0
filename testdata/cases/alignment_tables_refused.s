# What a jump through a table leads to may rely on alignment, wherever that code is, and whether or not the program can
# change the table.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 1024}]}
#: refused (split): the code relies on `cell` being aligned to 16 as it was in the session (`movaps (%rax),%xmm0` at .text.unlikely+0x0)
#: refused (changed): the code relies on `cell` being aligned to 16 as it was in the session (`movaps (%rax),%xmm0` at .text
#: refused (far): the code relies on `cell` being aligned to 32 as it was in the session (`test $0x1f,%al` at .text
#: refused (kept): the code relies on `cell` being aligned to 8 as it was in the session (`test $0x7,%dl` at .text
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function split
        movabs  $SESSION(cell), %rax
        lea     .Lsplit(%rip), %rdx
        movslq  (%rdx,%rdi,4), %rcx
        add     %rdx, %rcx
        jmp     *%rcx
1:      mov     (%rax), %eax
        ret
        end split
        # The table says that both entries lead to the first, but it is not the compiler alone who writes it.
        function changed
        movabs  $SESSION(cell), %rax
        lea     .Lchanged(%rip), %rdx
        jmp     *(%rdx,%rdi,8)
3:      mov     (%rax), %eax
        ret
4:      movaps  (%rax), %xmm0
        movd    %xmm0, %eax
        ret
        end changed
        # A jump to code that may be far away.
        function far
        movabs  $SESSION(cell), %rax
        movabs  $5f, %rdx
        jmp     *%rdx
        .balign 16
5:      test    $31, %al
        sete    %al
        ret
        end far
        # A call of a function that leaves the register alone.
        function kept
        movabs  $SESSION(cell), %rdx
        call    leaf
        xor     %eax, %eax
        test    $7, %dl
        sete    %al
        ret
        end kept
        .type   leaf, @function
leaf:   .cfi_startproc
        mov     %rdi, %rcx
        ret
        .cfi_endproc
        .size   leaf, . - leaf
        .section .text.unlikely, "ax", @progbits
        .type   split.cold, @function
split.cold: .cfi_startproc
2:      movaps  (%rax), %xmm0
        movd    %xmm0, %eax
        ret
        .cfi_endproc
        .size   split.cold, . - split.cold
        .section .rodata
        .balign 4
.Lsplit: .long  1b - .Lsplit, 2b - .Lsplit
        .data
        .balign 8
.Lchanged: .quad 3b, 3b
