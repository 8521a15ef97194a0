# Below 4 GiB an address fits into a 32-bit move, which clears the other half of its register: a thunk loads the whole
# address instead, where all that follows uses the whole register.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 16}, {"address": "0x404080", "name": "own", "size": 8},
#: map              {"address": "0x4040c0", "name": "add_one", "size": 64}]}
#: thunks 7
#: place .text+0x1 symbol low+0 thunk
#: place .text+0xb symbol low+0 thunk
#: place .text+0x16 symbol own+0 thunk
#: place .text+0x1f symbol add_one+0 thunk
#: place .text+0x2b symbol low+0 thunk
#: place .text+0x33 symbol low+0 got
#: place .text+0x3b symbol own+0 relative
#: place .text+0x44 symbol add_one+0 thunk
#: place .text+0x5a symbol low+0 thunk
#: driver
#: | #include <stdio.h>
#: | long low[2] = {42, 43};
#: | long add_one(long x) { return x + 1; }
#: | long load(void), load_far(void), load_own(void), call(void), *give(void), *whole(void), whole_own(void);
#: | long choose(int), keep(void);
#: | long pass(long *p) { return p[1]; }
#: | int main(void) {
#: |   printf("%ld %ld %ld %ld\n", load(), load_far(), load_own(), call());
#: |   printf("%d %d %ld\n", give() == low, whole() == low, whole_own());
#: |   printf("%ld %ld %ld\n", choose(0), choose(1), keep());
#: | }
#: stdout 42 42 7 6
#: stdout 1 1 7
#: stdout 6 1 43
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
        mov     $SESSION(low), %eax
        mov     (%rax), %rax
        ret
        end load
        function load_far
        mov     $SESSION(low), %r10d
        nop
        mov     (%r10), %rax
        nop
        ret
        end load_far
        function load_own
        mov     $SESSION(own), %ecx
        mov     (%rcx), %rax
        ret
        end load_own
        # Through the register, the stack aligned.
        function call
        mov     $SESSION(add_one), %eax
        mov     $5, %edi
        jmp     *%rax
        end call
        function give
        mov     $SESSION(low), %eax
        ret
        end give
        function whole
        movq    $SESSION(low), %rax
        ret
        end whole
        function whole_own
        movq    $SESSION(own), %r9
        mov     (%r9), %rax
        ret
        end whole_own
        # Used on one way only.
        function choose
        mov     $SESSION(add_one), %edx
        test    %edi, %edi
        jne     1f
        mov     $5, %edi
        jmp     *%rdx
1:      mov     $1, %eax
        ret
        end choose
        # An argument.
        function keep
        mov     $SESSION(low), %edi
        jmp     pass
        end keep

        .data
        .balign 8
        .local  own
own:    .quad   7
