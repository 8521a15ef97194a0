# What uses 32 bits of the address would cut a real one.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 16}, {"address": "0x404080", "name": "own", "size": 16}]}
#: refused .text+0x1
#: refused 0x404040 is then used in fewer than 64 bits by `mov %eax,%edi`: `mov $0x404040,%eax`
#: refused the instruction has no form with a 64-bit register in place of the immediate: `movl $0x404040,0x8(%rdi)`
#: refused the instruction has no form with a 64-bit register in place of the immediate: `cmp $0x404040,%eax`
#: refused 0x404040 is not used before `ret`: `mov $0x404040,%ebx`
#: refused the instruction uses a part of the stack pointer: `mov %sp,0x404048`
#: refused the instruction computes addresses in 32 bits: `mov 0x404048(,%edi,8),%eax`
#: refused 0x404040 is cut to fewer than 64 bits: `lea 0x404040,%eax`
#: refused 0x404040 is cut to fewer than 64 bits: `lea 0x404040(,%rdi,8),%eax`
#: refused 0x404080 is cut to fewer than 64 bits: `lea 0x404080,%ax`
        .globl  get
        .type   get, @function
get:    mov     $SESSION(low), %eax
        mov     %eax, %edi
        mov     (%rdi), %rax
        ret
        .size   get, . - get
        .type   halves, @function
halves: movl    $SESSION(low), 8(%rdi)
        movl    $0, 12(%rdi)
        ret
        .size   halves, . - halves
        .type   compare, @function
compare: cmp    $SESSION(low), %eax
        ret
        .size   compare, . - compare
        .type   unused, @function
unused: mov     $SESSION(low), %ebx
        ret
        .size   unused, . - unused
        .type   stack, @function
stack:  mov     %sp, SESSION(low) + 8
        ret
        .size   stack, . - stack
        .type   short, @function
short:  mov     SESSION(low)+8(,%edi,8), %eax
        ret
        .size   short, . - short
        .type   cut, @function
cut:    lea     SESSION(low), %eax
        lea     SESSION(low)(,%rdi,8), %eax
        lea     SESSION(own), %ax
        ret
        .size   cut, . - cut
        .local  own
        .comm   own, 16
