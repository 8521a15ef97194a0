# A process at a fixed address has addresses as small as numbers: a word that is no address of its own is perhaps one.
#: map {"mappings": [{"start": "0x400000", "end": "0x600000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 1048576}]}
#: refused .data+0x8: 0x4c4b40 is a small number in data
        .data
        .quad   SESSION(low)
        .quad   5000000
