# A constant of the session, and a variable that begins in its last two bytes.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}],
#: map  "globals": [{"symbol": "half", "init": {"symbol": "outside"}}]}
#: refused 0x7f1234560400 shares bytes with a variable that the session map fills
        .data
        .balign 8
        .globl  half
word:   .quad   SESSION(cell)
        .quad   0
half = word + 6
