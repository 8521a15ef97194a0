# What the code takes for granted of the low bits of addresses, and no replacement makes unnecessary: nothing says that the
# object is aligned in every process as it was in the session.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 1024}]}
#: refused (masked): the code relies on `cell` being aligned to 64 as it was in the session (`and $0xffffffffffffffc0,%rax` at .text+0xd); declare "align": 64 in the session map if it always is
#: refused (tested): the code relies on `cell` being aligned to 32 as it was in the session (`test $0x1f,%al`
#: refused (flipped): the code relies on `cell` being aligned to 32 as it was in the session (`xor $0x10,%rax`
#: refused (set): the code relies on `cell` being aligned to 16 as it was in the session (`or $0x8,%rax`
#: refused (asked): the code relies on `cell` being aligned to 8 as it was in the session (`or $0x4,%rax`
#: refused (floats): the code relies on `cell` being aligned to 16 as it was in the session (`movaps (%rax),%xmm0`
#: refused (integers): the code relies on `cell` being aligned to 16 as it was in the session (`paddd (%rbx),%xmm0`
#: refused (wide): the code relies on `cell` being aligned to 32 as it was in the session (`vmovaps (%rax),%ymm0`
#: refused (chosen): the code relies on `cell` being aligned to 16 as it was in the session (`movdqa (%rax),%xmm0`
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function masked
        movabs  $SESSION(cell), %rax
        add     %rdi, %rax
        and     $-64, %rax
        ret
        end masked
        function tested
        movabs  $SESSION(cell), %rax
        xor     %ecx, %ecx
        test    $31, %al
        sete    %cl
        mov     %ecx, %eax
        ret
        end tested
        function flipped
        movabs  $SESSION(cell), %rax
        xor     $16, %rax
        ret
        end flipped
        # The bit is set in the session: it is no addition.
        function set
        movabs  $SESSION(cell)+8, %rax
        or      $8, %rax
        ret
        end set
        # Whether the result is zero is asked, too.
        function asked
        movabs  $SESSION(cell), %rax
        or      $4, %rax
        sete    %cl
        ret
        end asked
        function floats
        movabs  $SESSION(cell), %rax
        movaps  (%rax), %xmm0
        addps   16(%rax,%rdi), %xmm0
        ret
        end floats
        function integers
        push    %rbx
        .cfi_def_cfa_offset 16
        .cfi_offset %rbx, -16
        movabs  $SESSION(cell), %rbx
        call    nothing@PLT
        movd    %edi, %xmm0
        paddd   (%rbx), %xmm0
        movd    %xmm0, %eax
        pop     %rbx
        .cfi_def_cfa_offset 8
        ret
        end integers
        function wide
        movabs  $SESSION(cell), %rax
        vmovaps (%rax), %ymm0
        vzeroupper
        ret
        end wide
        # By a table, whose entries lead to where nothing else does.
        function chosen
        movabs  $SESSION(cell), %rax
        lea     .Ltable(%rip), %rdx
        movslq  (%rdx,%rdi,4), %rcx
        add     %rdx, %rcx
        xor     %edx, %edx
        jmp     *%rcx
1:      mov     (%rax), %eax
        ret
2:      movdqa  (%rax), %xmm0
        movd    %xmm0, %eax
        ret
        end chosen
        .section .rodata
        .balign 4
.Ltable: .long  1b - .Ltable, 2b - .Ltable
