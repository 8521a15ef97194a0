# A store to where a function lies, which would overwrite itself if it ran: what it writes to is no constant among the code,
# and does not hide the address in the function's instruction.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "cell", "size": 64}, {"address": "0x4040c0", "name": "other", "size": 64}]}
#: thunks 2
#: place .text symbol cell+0 thunk
#: place .text symbol other+0 thunk
#: driver
#: | #include <stdio.h>
#: | char *cell[8], other[64];
#: | long is_other(char **);
#: | int main(void) { cell[1] = other; printf("%ld %ld\n", is_other(cell + 1), is_other(cell)); }
#: stdout 1 0
        .globl  overwrites
        .type   overwrites, @function
overwrites:
        .cfi_startproc
        movq    $SESSION(cell), 1f(%rip)
1:      ret
        .cfi_endproc
        .size   overwrites, . - overwrites

        .globl  is_other
        .type   is_other, @function
is_other:
        .cfi_startproc
        xorl    %eax, %eax
        cmpq    $SESSION(other), (%rdi)
        sete    %al
        ret
        .cfi_endproc
        .size   is_other, . - is_other
        .section .note.GNU-stack, "", @progbits
