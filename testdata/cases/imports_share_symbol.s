# Names that the session bound to parts of one variable, the first of which is the variable itself: Numba's copies of
# the words of `_Py_HashSecret` are like that. The name of the first is not needed any more, nor is it made anew.
#: map {"imports": [{"symbol": "before", "init": {"symbol": "secret", "offset": 16}},
#: map              {"symbol": "first", "init": {"symbol": "secret"}},
#: map              {"symbol": "second", "init": {"symbol": "secret", "offset": 8}}]}
#: place none
#: renamed first secret
#: driver
#: | #include <stdio.h>
#: | long secret[3] = {1, 2, 3};
#: | long sum(void);
#: | int main(void) { printf("%ld\n", sum()); }
#: stdout 321
        .text
        .globl  sum
        .type   sum, @function
sum:
        movabs  $before, %rdx
        imul    $100, (%rdx), %rax
        movabs  $second, %rdx
        imul    $10, (%rdx), %rcx
        add     %rcx, %rax
        movabs  $first, %rdx
        add     (%rdx), %rax
        ret
        .size   sum, . - sum
        .section .note.GNU-stack, "", @progbits
