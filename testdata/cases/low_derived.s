# Constants of 32 bits that one operation makes of an address below 4 GiB: in the new process they can have 64, so all that
# use them must use as many.
#: map {"mappings": [{"start": "0x10400000", "end": "0x10500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x10404040", "name": "table", "size": 64}]}
#: witness
#: oracle no
#: place .text expression table >> 3+0 thunk
#: place .text expression table >> 3+0 thunk
#: place .text expression -table+0 thunk
#: place .text expression -table+0 thunk
#: place .text expression -(table + 8)+0 thunk
#: place .text expression -table+0 thunk
#: place .text expression -(table - 8)+0 thunk
#: place .text expression ~table+0 slot
#: place .text symbol table+1 thunk
#: place .text symbol table+3 thunk
#: place .text symbol table+1 thunk
#: place .text symbol table+-8 thunk
#: place .text symbol table+0 thunk
#: place .text symbol table+64 thunk
#: driver
#: | #include <stdint.h>
#: | #include <stdio.h>
#: | uint64_t table[8] = {42, 43};
#: | uint64_t shifted(void), same(uint64_t), index(void *), distance(void *), inverted(void), tagged(void), pushed(void);
#: | uint64_t from_one(void *), from_minus_one(void *), short_index(void *);
#: | uint64_t stored(uint64_t *), before(long), past(void *);
#: | int main(void) {
#: |   uint64_t t = (uint64_t)table, word;
#: |   printf("%d%d%d\n", shifted() == t >> 3, same(t >> 3) == 1, same((t >> 3) + 1) == 0);
#: |   printf("%d%d%d%d%d\n", index(table + 1) == 8, distance(table + 2) == 16, inverted() == ~t, tagged() == (t | 1), pushed() == (t | 3));
#: |   stored(&word); printf("%d %ld %d%d\n", word == (t | 1), before(2), past(table + 8) == 1, past(table) == 0);
#: |   printf("%d%d%d\n", from_one(table + 1) == 0, from_minus_one(table) == 8, short_index(table + 3) == 24);
#: | }
#: stdout 111
#: stdout 11111
#: stdout 1 43 11
#: stdout 111
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function shifted
        mov     $SESSION(table) >> 3, %eax
        ret
        end shifted
        function same
        xor     %eax, %eax
        cmp     $SESSION(table) >> 3, %rdi
        sete    %al
        ret
        end same
        function index
        lea     -SESSION(table)(%rdi), %rax
        ret
        end index
        function distance
        mov     %rdi, %rax
        add     $-SESSION(table), %rax
        ret
        end distance
        function from_one
        lea     -SESSION(table)-8(%rdi), %rax
        ret
        end from_one
        # Of a distance 32 bits may be all that there is.
        function short_index
        lea     -SESSION(table)(%rdi), %eax
        ret
        end short_index
        function from_minus_one
        lea     -SESSION(table)+8(%rdi), %rax
        ret
        end from_minus_one
        function inverted
        movq    $~SESSION(table), %rax
        ret
        end inverted
        function tagged
        mov     $SESSION(table)+1, %eax
        ret
        end tagged
        function pushed
        push    $SESSION(table)+3
        .cfi_adjust_cfa_offset 8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        ret
        end pushed
        function stored
        movq    $SESSION(table)+1, (%rdi)
        ret
        end stored
        function before
        mov     SESSION(table)-8(,%rdi,8), %rax
        ret
        end before
        # The loop's end.
        function past
        mov     $SESSION(table), %ecx
        xor     %eax, %eax
        test    %rcx, %rcx
        je      1f
        cmp     $SESSION(table)+64, %rdi
        sete    %al
1:      ret
        end past
