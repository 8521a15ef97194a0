# A word whose symbol spells it is of a session, whatever the map knows.
#: map {"mappings": [{"start": "0x7f1234000000", "end": "0x7f1234100000", "perms": "rw-p"}]}
#: refused .data+0x8
#: refused 0x7f9876543210
#: refused mapping
        .data
        .balign 8
        .quad   1
        .globl  dynamic.7f9876543210, counter.1
        .type   dynamic.7f9876543210, @object
dynamic.7f9876543210:
        .quad   0x7f9876543210
        .size   dynamic.7f9876543210, 8
counter.1:
        .quad   1
