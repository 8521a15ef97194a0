# `or` for an addition, as LLVM writes it where the session's address had those bits clear. Here they are set: the object
# that has the name is aligned to 8 bytes only. Each `or` becomes the addition that it was, of the same length.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 1024}]}
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+64 slot
#: realigned .text or $0x40,%rax add $0x40,%rax
#: realigned .text or $0x200,%rcx add $0x200,%rcx
#: realigned .text or $0x200,%rax add $0x200,%rax
#: realigned .text or %rdi,%rax add %rdi,%rax
#: realigned .text or (%rdi),%rax add (%rdi),%rax
#: realigned .text or %rax,%rdi add %rax,%rdi
#: realigned .text or $0x40,%rax add $0x40,%rax
#: realigned .text or $0x8,%rdx add $0x8,%rdx
#: realigned .text or %rsi,%rax add %rsi,%rax
#: aligned none
#: oracle no
#: driver
#: | #include <stdio.h>
#: | extern char cell[1024];
#: | asm(".data\n .balign 4096\n .zero 0x3c8\n .globl cell\n .type cell, @object\n .size cell, 1024\n"
#: |     "cell: .zero 1024\n .text\n");
#: | char *byte(void), *wide(void), *accumulator(void), *sum(long), *memory(long *), *scaled(long), *spilled(void);
#: | char *either(long, long);
#: | long loop(void);
#: | void nothing(void) {}
#: | int main(void) {
#: |   long n = 48;
#: |   printf("%td %td %td %td\n", byte() - cell, wide() - cell, accumulator() - cell, sum(0x48) - cell);
#: |   printf("%td %td %td\n", memory(&n) - cell, scaled(77) - cell, spilled() - cell);
#: |   for (int i = 0; i < 128; i++) ((long *)cell)[i] = i;
#: |   printf("%ld %td %td\n", loop(), either(0, 8) - cell, either(1, 16) - cell);
#: | }
#: stdout 64 512 512 72
#: stdout 48 104 64
#: stdout 64 8 80
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function byte
        movabs  $SESSION(cell), %rax
        or      $0x40, %rax
        ret
        end byte
        function wide
        movabs  $SESSION(cell), %rcx
        or      $0x200, %rcx
        mov     %rcx, %rax
        ret
        end wide
        function accumulator
        movabs  $SESSION(cell), %rax
        or      $0x200, %rax
        ret
        end accumulator
        # Which bits the number has the compiler knew.
        function sum
        movabs  $SESSION(cell), %rax
        or      %rdi, %rax
        ret
        end sum
        function memory
        movabs  $SESSION(cell), %rax
        or      (%rdi), %rax
        ret
        end memory
        # Of 77 the last four bits, times 8.
        function scaled
        movabs  $SESSION(cell), %rax
        and     $15, %edi
        shl     $3, %rdi
        or      %rax, %rdi
        mov     %rdi, %rax
        ret
        end scaled
        # In the frame over a call.
        function spilled
        movabs  $SESSION(cell), %rax
        push    %rax
        .cfi_def_cfa_offset 16
        call    nothing@PLT
        pop     %rcx
        .cfi_def_cfa_offset 8
        mov     %rcx, %rax
        or      $0x40, %rax
        ret
        end spilled
        # The sum of every second number of sixteen, of which each is as large as its index.
        function loop
        xor     %eax, %eax
        mov     $8, %esi
        movabs  $SESSION(cell), %rcx
1:      mov     %rcx, %rdx
        or      $8, %rdx
        add     (%rdx), %rax
        add     $16, %rcx
        dec     %esi
        jne     1b
        ret
        end loop
        # One of two on each way.
        function either
        movabs  $SESSION(cell), %rax
        test    %rdi, %rdi
        je      2f
        movabs  $SESSION(cell)+64, %rax
2:      or      %rsi, %rax
        ret
        end either
