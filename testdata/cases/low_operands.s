# Absolute operands of 32 bits: of what the object has itself there is a pc-relative form in place, of all else the
# address goes through a register in a thunk. Each instruction's flags are its own.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64, "align": 16}, {"address": "0x404080", "name": "own", "size": 64}]}
#: thunks 14
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+8 thunk
#: place .text symbol low+8 slot
#: place .text symbol low+16 thunk
#: place .text symbol low+16 thunk
#: place .text symbol low+24 thunk
#: place .text symbol low+24 thunk
#: place .text symbol low+32 thunk
#: place .text symbol low+24 thunk
#: place .text symbol low+40 thunk
#: place .text symbol low+40 thunk
#: place .text symbol low+48 thunk
#: place .text symbol low+48 thunk
#: place .text symbol own+0 relative
#: place .text symbol own+0 relative
#: place .text symbol own+8 relative
#: place .text symbol own+8 relative
#: place .text symbol own+16 relative
#: place .text symbol own+16 relative
#: place .text symbol own+8 thunk
#: place .text symbol own+16 relative
#: driver
#: | #include <stdio.h>
#: | long low[8] __attribute__((aligned(16))) = {10, 11, 0, 100, 5, -1, 21, 22};
#: | long load(void), indexed(long), *address(long), *plain(void), *plain_own(void), store(long);
#: | long flags(long), exchange(long), constant(void), less(long), own_all(long), own_indexed(long);
#: | void twice(void);
#: | int main(void) {
#: |   printf("%ld %ld %d %d\n", load(), indexed(5), address(4) == low + 4, plain() == low + 1);
#: |   printf("%ld ", store(77)); printf("%ld\n", low[2]);
#: |   printf("%ld ", flags(-100)); printf("%ld ", flags(-1)); printf("%ld\n", low[3]);
#: |   printf("%ld ", exchange(3)); printf("%ld %ld %ld\n", low[4], less(10), less(-5));
#: |   twice();
#: |   printf("%lx ", constant()); printf("%lx %ld %ld\n", low[5], low[6], low[7]);
#: |   printf("%ld ", own_all(9)); printf("%ld %ld\n", own_indexed(2), *plain_own());
#: | }
#: stdout 10 21 1 1
#: stdout 77 77
#: stdout 1 2 -1
#: stdout 5 8 0 1
#: stdout 11223344 ffffffff11223344 42 44
#: stdout 19 1 1
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function load
        mov     SESSION(low), %rax
        ret
        end load
        function indexed
        mov     SESSION(low)+8(,%rdi,8), %rcx
        mov     %rcx, %rax
        ret
        end indexed
        function address
        lea     SESSION(low)(,%rdi,8), %rax
        ret
        end address
        function plain
        lea     SESSION(low)+8, %rax
        ret
        end plain
        function store
        mov     %rdi, -8(%rsp)
        mov     %rdi, SESSION(low)+16
        mov     SESSION(low)+16, %eax
        cmp     %rax, -8(%rsp)
        je      1f
        ud2
1:      ret
        end store
        # 1: zero; 2: negative.
        function flags
        add     %rdi, SESSION(low)+24
        je      1f
        jns     3f
        cmpq    $-1, SESSION(low)+24
        jne     3f
        mov     $2, %eax
        ret
1:      jnc     3f
        mov     $1, %eax
        ret
3:      ud2
        end flags
        function exchange
        mov     %rdi, %rax
        lock xadd %rax, SESSION(low)+32
        ret
        end exchange
        function less
        xor     %eax, %eax
        cmp     SESSION(low)+24, %rdi
        setl    %al
        ret
        end less
        function constant
        movl    $0x11223344, SESSION(low)+40
        mov     SESSION(low)+40, %eax
        ret
        end constant
        function twice
        movaps  SESSION(low)+48, %xmm0
        paddq   %xmm0, %xmm0
        movaps  %xmm0, SESSION(low)+48
        ret
        end twice

        # In place.
        function own_all
        mov     %rdi, SESSION(own)
        incl    SESSION(own)
        movl    $0x11223344, SESSION(own)+8
        cmpl    $0x11223344, SESSION(own)+8
        jne     1f
        movb    $1, SESSION(own)+16
        mov     SESSION(own)+16, %rax
        add     %rdi, %rax
        add     %rdi, %rax
        ret
1:      ud2
        end own_all
        function own_indexed
        mov     SESSION(own)+8(,%rdi,4), %rax
        ret
        end own_indexed
        function plain_own
        lea     SESSION(own)+16, %rax
        ret
        end plain_own

        .bss
        .balign 16
        .local  own
own:    .zero   64
