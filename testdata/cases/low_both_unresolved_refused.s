# Of two addresses in one instruction one means nothing: what replaces the other would carry it along.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p", "path": "[heap]"}],
#: map  "symbols": [{"address": "0x404040", "name": "cell", "size": 8}]}
#: refused .text+0x4 (both): 0x404040 cannot be replaced: beside it in the instruction is an address that means nothing
#: refused .text+0x8 (both): 0x404100 is in [heap]
        .globl  both
        .type   both, @function
both:   movq    $0x404100, SESSION(cell)
        ret
        .size   both, . - both
        .section .note.GNU-stack, "", @progbits
