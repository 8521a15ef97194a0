# The same with a map that says that the object is aligned to 64 in every process: all of it is right.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 1024, "align": 64}]}
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+8 slot
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: aligned .text 64
#: aligned .text 32
#: aligned .text 32
#: aligned .text 16
#: aligned .text 8
#: aligned .text 16
#: aligned .text 16
#: aligned .text 32
#: aligned .text 16
#: driver
#: | #include <stdio.h>
#: | extern float cell[256];
#: | asm(".data\n .balign 4096\n .zero 0x340\n .globl cell\n .type cell, @object\n .size cell, 1024\n"
#: |     "cell: .zero 1024\n .text\n");
#: | char *masked(long), *flipped(void), *set(void), *asked(void);
#: | int tested(void), integers(int), chosen(long);
#: | float floats(long);
#: | void wide(void);
#: | void nothing(void) {}
#: | int main(void) {
#: |   char *start = (char *)cell;
#: |   printf("%td %td %td %td %d\n", masked(100) - start, flipped() - start, set() - start, asked() - start, tested());
#: |   for (int i = 0; i < 256; i++) cell[i] = i;
#: |   printf("%g ", floats(32));
#: |   *(int *)cell = 40;
#: |   printf("%d %d %d\n", chosen(0), chosen(1), integers(0) - 40);
#: |   if (__builtin_cpu_supports("avx")) wide();
#: | }
#: stdout 64 16 8 4 1
#: stdout 12 40 40 0
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
