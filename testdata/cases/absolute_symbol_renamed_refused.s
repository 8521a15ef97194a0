# The object's own symbol of a name that the map uses for something else: references by that name could not be told apart.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560800", "name": "other", "size": 64}]}
#: refused absolute symbol of that name that means something else
        .globl  other
        .set    other, SESSION(cell)
        .data
        .balign 8
        .quad   SESSION(other)
