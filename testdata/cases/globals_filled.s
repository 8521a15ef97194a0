# Empty variables of the object that only the session knew how to fill, wherever they lie.
#: map {"globals": [
#: map   {"symbol": "in_data", "init": {"symbol": "outside"}},
#: map   {"symbol": "in_data", "offset": 8, "init": {"string": "text"}},
#: map   {"symbol": "called", "init": {"call": "make", "args": [{"int": 20}]}},
#: map   {"symbol": "in_bss", "init": {"symbol": "outside", "offset": 8}},
#: map   {"symbol": "in_lbss", "init": {"load": {"symbol": "pointer"}}},
#: map   {"symbol": "shared_by_all", "init": {"int": -5}},
#: map   {"symbol": "jl_global#12", "init": {"string": "nobody"}}]}
#: global in_data+0 relocation
#: global in_data+8 relocation
#: global called+0 init
#: global in_bss+0 init
#: global in_lbss+0 init
#: global shared_by_all+0 init
#: global jl_global#12+0 relocation
#: place none
#: calls 1
#: driver
#: | #include <stdio.h>
#: | long outside[2] = {1, 2}, other = 3, *pointer = &other;
#: | static long made;
#: | long *make(int n) { made = n + 1; return &made; }
#: | long *data(void), **called_at(void), **bss(void), **lbss(void);
#: | extern long shared_by_all;
#: | char *unnamed(void);
#: | int main(void) {
#: |     printf("%d %s %ld\n", (long *)data()[0] == outside, (char *)data()[1], **called_at());
#: |     printf("%ld %ld %ld %s\n", **bss(), **lbss(), shared_by_all, unnamed());
#: | }
#: stdout 1 text 21
#: stdout 2 3 -5 nobody
        .macro  at name, symbol
        .globl  \name
        .type   \name, @function
\name:  lea     \symbol(%rip), %rax
        ret
        .size   \name, . - \name
        .endm

        at      data, in_data
        at      called_at, called
        at      bss, in_bss
        .globl  lbss, unnamed
        .type   lbss, @function
lbss:   movabs  $in_lbss, %rax
        ret
        .size   lbss, . - lbss
        .type   unnamed, @function
unnamed:
        mov     "jl_global#12"@GOTPCREL(%rip), %rax
        mov     (%rax), %rax
        ret
        .size   unnamed, . - unnamed

        .hidden in_data, called, in_bss, in_lbss
        .globl  in_data, called, in_bss, in_lbss
        .data
        .balign 8
        .type   in_data, @object
in_data:
        .quad   0, 0
        .size   in_data, 16
        .type   called, @object
called: .quad   0
        .size   called, 8
        .bss
        .balign 8
        .type   in_bss, @object
in_bss: .zero   8
        .size   in_bss, 8
        .section .lbss, "awl", @nobits
        .balign 8
        .type   in_lbss, @object
in_lbss:
        .zero   8
        .size   in_lbss, 8
        .comm   shared_by_all, 8, 8
