# Below 4 GiB an address fits where no relocation of position-independent code does.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 16}]}
#: refused .text+0x1
        .globl  get
        .type   get, @function
get:    mov     $0x404040, %eax
        ret
        .size   get, . - get
