# Halves of an address that one word gets: without a witness nothing proves what they are, and they are not left.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 16}, {"address": "0x7fabcd560480", "name": "far", "size": 16}]}
#: refused .text+0x9 (split): 0x7f12 and, at .text+0x2, 0x34560400 are stored as the halves of 0x7f1234560400, which is cell: give a witness
#: refused declare that both are numbers with --ignore .text+0x9: `movl $0x7f12,0x4(%rdi)`
#: refused .text+0x10 (high_first): 0x7fab and, at .text+0x17, 0xcd560480 are stored as the halves of 0x7fabcd560480, which is far: give
#: refused .text+0x25 (pushed): 0x7fab and, at .text+0x1d, 0xcd560480 are stored
#: refused .text+0x49 (scheduled): 0x7f12 and, at .text+0x2d, 0x34568000 are stored as the halves of 0x7f1234568000, which is in anonymous memory
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:
        .endm
        .macro  end name
        .size   \name, . - \name
        .endm

        function split
        movl    $SESSION(cell) & 0xffffffff, (%rdi)
        movl    $SESSION(cell) >> 32, 4(%rdi)
        ret
        end split
        function high_first
        movl    $SESSION(far) >> 32, (%rdi)
        movl    $SESSION(far) & 0xffffffff, -4(%rdi)
        ret
        end high_first
        # As gcc -O0 passes an argument on the stack.
        function pushed
        push    $(SESSION(far) & 0xffffffff) - 0x100000000
        movl    $SESSION(far) >> 32, 4(%rsp)
        pop     %rax
        ret
        end pushed
        # Stores of other words between them.
        function scheduled
        movl    $0x34568000, (%rdi)
        movl    $1, 8(%rdi)
        movl    $2, 12(%rdi)
        movl    $3, 16(%rdi)
        movl    $0x7f12, 4(%rdi)
        ret
        end scheduled
