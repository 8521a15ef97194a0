# The session bound `bound` to an object; the library exports a variable that points to it. Every form of reference
# gets the object.
#: map {"imports": [{"symbol": "bound", "init": {"load": {"symbol": "variable"}}},
#: map              {"symbol": "entry", "init": {"load": {"symbol": "entry_pointer"}}},
#: map              {"symbol": "alias", "init": {"symbol": "proper"}}]}
#: place none
#: driver
#: | #include <stdio.h>
#: | static long object = 42;
#: | long *variable = &object;
#: | static long hidden(long x) { return x + 1; }
#: | long (*entry_pointer)(long) = hidden;
#: | long proper = 9;
#: | long *by_got(void), *by_movabs(void), *by_lea(void), *by_word(void), *by_got64(void), *by_alias(void);
#: | long by_call(long), by_plain_call(long), by_jump(long), by_pltoff(long), by_pointer(long), by_memory(long);
#: | int main(void) {
#: |     printf("%ld %ld %ld", *by_got(), *by_movabs(), *by_lea());
#: |     printf(" %ld %ld %ld\n", *by_word(), *by_got64(), *by_alias());
#: |     printf("%ld %ld %ld", by_call(1), by_plain_call(2), by_jump(3));
#: |     printf(" %ld %ld %ld\n", by_pltoff(4), by_pointer(5), by_memory(6));
#: | }
#: stdout 42 42 42 42 42 9
#: stdout 2 3 4 5 6 7
        .macro  begin name
        .globl  \name
        .type   \name, @function
\name:
        .endm
        .macro  end name
        ret
        .size   \name, . - \name
        .endm

        begin   by_got
        mov     bound@GOTPCREL(%rip), %rax
        end     by_got
        begin   by_movabs
        movabs  $bound, %rax
        end     by_movabs
        begin   by_lea
        lea     bound(%rip), %rax
        end     by_lea
        begin   by_word
        mov     word(%rip), %rax
        end     by_word
        begin   by_got64
        lea     _GLOBAL_OFFSET_TABLE_(%rip), %rcx
        movabs  $bound@GOT, %rax
        mov     (%rax,%rcx), %rax
        end     by_got64
        begin   by_alias
        mov     alias@GOTPCREL(%rip), %rax
        end     by_alias

        begin   by_call
        sub     $8, %rsp
        call    entry@PLT
        add     $8, %rsp
        end     by_call
        begin   by_plain_call
        sub     $8, %rsp
        call    entry
        add     $8, %rsp
        end     by_plain_call
        begin   by_jump
        jmp     entry@PLT
        end     by_jump
        begin   by_pltoff
        sub     $8, %rsp
        lea     _GLOBAL_OFFSET_TABLE_(%rip), %rcx
        movabs  $entry@PLTOFF, %rax
        add     %rcx, %rax
        call    *%rax
        add     $8, %rsp
        end     by_pltoff
        begin   by_pointer
        sub     $8, %rsp
        movabs  $entry, %rax
        call    *%rax
        add     $8, %rsp
        end     by_pointer
        begin   by_memory
        sub     $8, %rsp
        call    *entry@GOTPCREL(%rip)
        add     $8, %rsp
        end     by_memory

        .data
        .balign 8
word:   .quad   bound
