# Distances from the thread pointer that the session's linker gave, as numbers: they are left, and warned of.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .text+0x2 symbol cell+0 got
#: thread-local .text+0xf -40
#: thread-local .text+0x20 -8
#: thread-local .text+0x24 -24
#: thread-local .text+0x28 -16
#: warns .text+0xf (direct): -0x28 from the thread pointer
#: warns : `mov %fs:0xffffffffffffffd8,%rax`
#: warns .text+0x20 (stack): -0x8 from the thread pointer
#: warns : `mov -0x8(%rax),%rbx`
        .globl  direct, stack, distance
        .type   direct, @function
direct: movabs  $SESSION(cell), %rcx
        mov     %fs:-0x28, %rax
        ret
        .size   direct, . - direct
        .type   stack, @function
stack:  mov     %fs:0, %rax
        mov     -8(%rax), %rbx
        lea     -0x18(%rax), %rdi
        ret
        .size   stack, . - stack
        .type   distance, @function
distance:
        movabs  $-16, %rdx
        mov     %fs:(%rdx), %rdx
        mov     %fs:0x28, %rax
        ret
        .size   distance, . - distance
