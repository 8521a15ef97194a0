# Two names for one place: which of the two expressions it would hold is not for the tool to choose.
#: map {"globals": [
#: map   {"symbol": "one", "init": {"symbol": "outside"}},
#: map   {"symbol": "half", "init": {"symbol": "outside"}}]}
#: rejected `half`, which the session map fills, shares bytes with another variable that it fills
        .data
        .balign 8
        .globl  one, half
one:    .long   0
half:   .long   0
        .quad   0
