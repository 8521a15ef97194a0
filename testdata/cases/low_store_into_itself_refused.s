# A store to where the function's next instruction has an address: data by the one, an instruction by the other reading.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "cell", "size": 64}, {"address": "0x4040c0", "name": "other", "size": 64}]}
#: refused .text+0x11 (overwrites): 0x4040c0 lies where an instruction that has to be replaced reads or writes data
        .globl  overwrites
        .type   overwrites, @function
overwrites:
        .cfi_startproc
        movq    $SESSION(cell), 1f(%rip)
1:      xorl    %eax, %eax
        cmpq    $SESSION(other), (%rdi,%rsi,8)
        sete    %al
        ret
        .cfi_endproc
        .size   overwrites, . - overwrites
        .section .note.GNU-stack, "", @progbits
