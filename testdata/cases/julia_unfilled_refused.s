# Empty variables that only Julia could fill, and no entry says what they hold: each is named.
#: map {"globals": [{"symbol": "jl_global#1", "init": {"symbol": "cell"}}]}
#: options --infer julia
#: refused .bss+0x8: `+Core.Int64#2` is empty
#: refused `MUL.MainDOT.xYY.3` is empty: only the session's runtime could fill it
#: oracle no
        .bss
        .balign 8
        .type   "jl_global#1", @object
"jl_global#1": .zero 8
        .size   "jl_global#1", 8
        .type   "+Core.Int64#2", @object
"+Core.Int64#2": .zero 8
        .size   "+Core.Int64#2", 8
        .text
get:    mov     MUL.MainDOT.xYY.3@GOTPCREL(%rip), %rax
        ret
