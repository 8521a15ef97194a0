# All that is not known is said at once: where, in which function, what, and why.
#: map {"mappings": [{"start": "0x7f1234000000", "end": "0x7f1234100000", "perms": "rw-p", "path": "[heap]"},
#: map               {"start": "0x7f1234200000", "end": "0x7f1234300000", "perms": "rwxp"}]}
#: refused .text+0x2
#: refused 0x7f1234000010
#: refused first
#: refused [heap]
#: refused .text+0xd
#: refused 0x7f1234200010
#: refused second
        .globl  first, second
        .type   first, @function
        .type   second, @function
first:  movabs  $0x7f1234000010, %rax
        ret
        .size   first, . - first
second: movabs  $0x7f1234200010, %rcx
        ret
        .size   second, . - second
