# Jumps through tables, and what comes of that for constants in registers: each leads where its own table says. Tables of
# addresses and of distances, side by side; `cell` is aligned to 8 bytes only, and what looks at more of the register
# than that finds another value there.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 1024}]}
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: place .text symbol cell+0 got
#: aligned none
#: oracle no
#: driver
#: | #include <stdio.h>
#: | asm(".data\n .balign 4096\n .zero 0x3c8\n .globl cell\n .type cell, @object\n .size cell, 1024\n"
#: |     "cell: .quad 7\n .zero 1016\n .text\n");
#: | long first(long, long), second(long, long), third(long, long), cold(long, long);
#: | int main(void) {
#: |   for (int i = 0; i < 2; i++)
#: |     printf("%ld %ld %ld %ld\n", first(i, 0x40), second(i, 0x43), third(i, 0x41), cold(i, 0x42));
#: | }
#: stdout 7 7 7 7
#: stdout 0 3 1 2
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        # Addresses, in the operand of the jump. The first entry leads to a use of the constant, the second to
        # where its register was set otherwise by another way.
        function first
        movabs  $SESSION(cell), %rax
        lea     .Laddresses(%rip), %rdx
        jmp     *(%rdx,%rdi,8)
1:      mov     (%rax), %rax
        ret
2:      mov     %rsi, %rax
3:      and     $15, %eax
        ret
        end first
        # Distances. Between its jump and its table another jump is taken, whose table leads to `5`.
        function second
        lea     .Ldistances(%rip), %rdx
        movslq  (%rdx,%rdi,4), %rcx
        add     %rdx, %rcx
        movabs  $SESSION(cell), %rax
        jmp     *%rcx
4:      mov     (%rax), %rax
        ret
5:      mov     %rsi, %rax
        lea     .Lothers(%rip), %rdx
        movslq  (%rdx,%rdi,4), %rcx
        add     %rdx, %rcx
        jmp     *%rcx
6:      and     $15, %eax
        ret
        end second
        # As it is written without optimization, the table's address loaded a second time.
        function third
        movabs  $SESSION(cell), %rax
        lea     0(,%rdi,4), %rdx
        lea     .Lthird(%rip), %rcx
        mov     (%rdx,%rcx), %r8d
        movslq  %r8d, %r8
        lea     .Lthird(%rip), %rdx
        add     %rdx, %r8
        jmp     *%r8
7:      mov     (%rax), %rax
        ret
8:      mov     %rsi, %rax
9:      and     $15, %eax
        ret
        end third
        # The code that an entry leads to is elsewhere.
        function cold
        movabs  $SESSION(cell), %rax
        lea     .Lcold(%rip), %rdx
        jmp     *(%rdx,%rdi,8)
10:     mov     (%rax), %rax
        ret
        end cold
        .section .text.unlikely, "ax", @progbits
        .type   cold.cold, @function
cold.cold: .cfi_startproc
11:     mov     %rsi, %rax
        and     $15, %eax
        ret
        .cfi_endproc
        .size   cold.cold, . - cold.cold
        .section .rodata
        .balign 8
.Ldistances: .long 4b - .Ldistances, 5b - .Ldistances
.Lothers: .long 6b - .Lothers, 6b - .Lothers
.Lthird: .long 7b - .Lthird, 8b - .Lthird
        .balign 8
        .section .data.tables, "aw", @progbits
        .balign 8
.Laddresses: .quad 1b, 2b
.Lcold: .quad 10b, 11b
