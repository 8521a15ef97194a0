# Halves of an address in 32-bit operands, which a witness shows: each instruction takes its 32 bits of what a slot holds,
# and extends them as it extended its own. The address of `sum` has its bit 31 set, that of `far` too.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"},
#: map              {"start": "0x7f5091560000", "end": "0x7f5091570000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 16}, {"address": "0x7f1234560440", "name": "own", "size": 16},
#: map              {"address": "0x7f5091560480", "name": "far", "size": 16}]}
#: witness
#: oracle no
#: thunks 20
#: place .text expression (uint32_t)cell+0 thunk
#: place .text expression cell >> 32+0 thunk
#: place .text expression (uint32_t)(far + 8)+0 thunk
#: place .text expression (far + 8) >> 32+0 thunk
#: place .text expression (uint32_t)far+0 thunk
#: place .text expression (uint32_t)own+0 thunk
#: place .text expression (uint32_t)far+0 slot
#: place .text expression (uint32_t)far+0 slot
#: place .text expression (uint32_t)far+0 thunk
#: place .text expression (uint32_t)far+0 thunk
#: place .text expression (uint32_t)far+0 thunk
#: place .text expression (uint32_t)far+0 thunk
#: place .text expression (uint32_t)cell+0 thunk
#: place .text expression (uint32_t)far+0 thunk
#: place .text expression (uint32_t)own+0 thunk
#: place .text expression (uint32_t)cell+0 thunk
#: place .text expression cell >> 32+0 thunk
#: place .text expression (uint32_t)-cell+0 thunk
#: place .text symbol cell+0 got
#: place .text expression (uint32_t)(cell + 16)+0 slot
#: place .text expression (uint32_t)far+0 thunk
#: place .text expression far >> 32+0 thunk
#: place .text expression (uint32_t)cell+0 thunk
#: place .text expression cell >> 32+0 thunk
#: driver
#: | #include <stdint.h>
#: | #include <stdio.h>
#: | long cell[2], far[2];
#: | void split(uint64_t *);
#: | uint64_t low_far(void), low_own(void), signed_far(void), low_far_nine(void), *own_address(void);
#: | uint64_t add(uint64_t), compare(uint64_t), compare_wide(uint64_t), pushed(void), displaced(uint64_t), displaced_wide(uint64_t);
#: | uint64_t both(uint64_t *), negated(void), past(void), stored(uint64_t *), pair(void);
#: | #define LOW(p) ((uint32_t)(uint64_t)(p))
#: | #define HIGH(p) ((uint32_t)((uint64_t)(p) >> 32))
#: | #define SIGNED(p) ((uint64_t)(int64_t)(int32_t)LOW(p))
#: | int main(void) {
#: |   uint64_t word[4] = {-1, -1, -1, -1}, high;
#: |   split(word);
#: |   printf("%d%d%d\n", word[0] == (uint64_t)cell, word[1] == (uint64_t)(far + 1), word[2] == -1);
#: |   printf("%d%d%d%d\n", low_far() == LOW(far), low_own() == LOW(own_address()), signed_far() == SIGNED(far), low_far_nine() == LOW(far));
#: |   printf("%d%d%d\n", add(0x1234567800000005) == (uint32_t)(LOW(far) + 5), compare(0xabcd00000000 | LOW(far)) == 0, compare(LOW(far) + 1) == 1);
#: |   printf("%d%d%d\n", compare_wide(SIGNED(far)) == 0, compare_wide(SIGNED(far) + (1l << 32)) == 1, pushed() == SIGNED(far));
#: |   printf("%d%d\n", displaced(0x1234567800000007) == (uint32_t)(LOW(cell) + 7), displaced_wide(9) == SIGNED(far) + 9);
#: |   printf("%d%d", stored(word) == SIGNED(own_address()), both(&high) == LOW(cell));
#: |   printf("%d%d%d\n", high == HIGH(cell), negated() == (uint32_t)-LOW(cell), past() == LOW(cell + 2));
#: |   printf("%d\n", pair() == (uint64_t)cell - (uint64_t)far);
#: | }
#: stdout 111
#: stdout 1111
#: stdout 111
#: stdout 111
#: stdout 11
#: stdout 11111
#: stdout 1
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        # Two words, whose high halves differ although they are found by their low ones alone.
        function split
        movl    $SESSION(cell) & 0xffffffff, (%rdi)
        movl    $SESSION(cell) >> 32, 4(%rdi)
        movl    $(SESSION(far)+8) & 0xffffffff, 8(%rdi)
        movl    $(SESSION(far)+8) >> 32, 12(%rdi)
        ret
        end split
        function low_far
        mov     $SESSION(far) & 0xffffffff, %eax
        ret
        end low_far
        function low_own
        mov     $SESSION(own) & 0xffffffff, %eax
        ret
        end low_own
        function own_address
        lea     own(%rip), %rax
        ret
        end own_address
        # Sign-extended and zero-extended in place.
        function signed_far
        movq    $(SESSION(far) & 0xffffffff) - 0x100000000, %rax
        ret
        end signed_far
        # mov $imm32,%r9d in its long form
        function low_far_nine
        .byte   0x41, 0xc7, 0xc1
        .long   SESSION(far) & 0xffffffff
        mov     %r9, %rax
        ret
        end low_far_nine
        function add
        mov     %rdi, %rax
        add     $SESSION(far) & 0xffffffff, %eax
        ret
        end add
        function compare
        mov     %rdi, -8(%rsp)
        xor     %eax, %eax
        cmpl    $SESSION(far) & 0xffffffff, -8(%rsp)
        setne   %al
        ret
        end compare
        function compare_wide
        xor     %eax, %eax
        cmp     $(SESSION(far) & 0xffffffff) - 0x100000000, %rdi
        setne   %al
        ret
        end compare_wide
        function pushed
        push    $(SESSION(far) & 0xffffffff) - 0x100000000
        .cfi_adjust_cfa_offset 8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        ret
        end pushed
        function displaced
        lea     (SESSION(cell) & 0xffffffff)(%rdi), %eax
        ret
        end displaced
        function displaced_wide
        lea     (SESSION(far) & 0xffffffff) - 0x100000000(%rdi), %rax
        ret
        end displaced_wide
        function stored
        movq    $SESSION(own) & 0xffffffff, (%rdi)
        mov     (%rdi), %rax
        ret
        end stored
        # One function, one target: its halves support each other.
        function both
        mov     $SESSION(cell) & 0xffffffff, %eax
        mov     $SESSION(cell) >> 32, %edx
        mov     %rdx, (%rdi)
        ret
        end both
        function negated
        mov     $-SESSION(cell) & 0xffffffff, %eax
        movabs  $SESSION(cell), %rdx
        ret
        end negated
        function past
        .byte   0xc7, 0xc0
        .long   (SESSION(cell)+16) & 0xffffffff
        ret
        end past

        # As gcc -O0 passes an argument on the stack.
        function pair
        push    $(SESSION(far) & 0xffffffff) - 0x100000000
        .cfi_adjust_cfa_offset 8
        movl    $SESSION(far) >> 32, 4(%rsp)
        push    $SESSION(cell) & 0xffffffff
        .cfi_adjust_cfa_offset 8
        movl    $SESSION(cell) >> 32, 4(%rsp)
        pop     %rax
        .cfi_adjust_cfa_offset -8
        pop     %rdx
        .cfi_adjust_cfa_offset -8
        sub     %rdx, %rax
        ret
        end pair

        .bss
        .balign 16
        .local  own
own:    .zero   16
