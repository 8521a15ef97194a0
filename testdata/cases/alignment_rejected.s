# An alignment that the session's own address does not have.
#: map {"symbols": [{"address": "0x7f1234560408", "name": "cell", "align": 16}]}
#: rejected symbols[0]: align: the address 0x7f1234560408 is no multiple of 16
        nop
