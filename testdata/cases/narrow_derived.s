# Constants of 32 bits that one operation makes of an address above 4 GiB: all that is left of it fits, in every process.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "table", "size": 64}]}
#: witness
#: oracle no
#: place .text expression table >> 16+0 thunk
#: place .text expression table >> 16+0 thunk
#: place .text expression table >> 20+0 thunk
#: place .text symbol table+0 got
#: place .text expression (uint32_t)(table >> 8)+0 thunk
#: place .text symbol table+0 got
#: place .text expression table >> 16+0 slot
#: place .text symbol table+0 got
#: driver
#: | #include <stdint.h>
#: | #include <stdio.h>
#: | long table[8];
#: | uint64_t page(void), same(uint64_t), more(void *), some(void), in_place(void);
#: | int main(void) {
#: |   uint64_t t = (uint64_t)table;
#: |   printf("%d%d%d%d%d%d\n", page() == t >> 16, same(t >> 16) == 1, same((t >> 16) + 1) == 0, more(table) == t >> 20,
#: |          some() == (uint32_t)(t >> 8), in_place() == t >> 16);
#: | }
#: stdout 111111
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function page
        mov     $SESSION(table) >> 16, %eax
        ret
        end page
        function same
        xor     %eax, %eax
        cmp     $SESSION(table) >> 16, %rdi
        sete    %al
        ret
        end same
        function more
        movl    $SESSION(table) >> 20, -4(%rsp)
        movabs  $SESSION(table), %rax
        mov     -4(%rsp), %eax
        ret
        end more
        function some
        mov     $(SESSION(table) >> 8) & 0xffffffff, %eax
        movabs  $SESSION(table), %rcx
        ret
        end some
        function in_place
        movq    $SESSION(table) >> 16, %rax
        movabs  $SESSION(table), %rcx
        ret
        end in_place
