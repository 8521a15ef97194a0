# Immediates whose sign is extended to 64 bits become registers in a thunk: what they do to memory, flags and the stack
# is what it was, also to what lies below the stack pointer.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64}, {"address": "0x404080", "name": "own", "size": 64}],
#: map  "values": [{"name": "text", "address": "0x4040c0", "size": 8, "init": {"string": "value"}}]}
#: thunks 11
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol own+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol own+0 thunk
#: place .text value text+0 thunk
#: place .text value text+0 thunk
#: place .text symbol low+0 thunk
#: driver
#: | #include <stdio.h>
#: | long low[8];
#: | void *cell[2];
#: | long is_low(void *), distance(void *), *past(long), *pushed(void), is_own(void), *below(void), *carry(void);
#: | void store(void **), store_own(void **);
#: | const char *text(void), *pushed_text(void);
#: | int main(void) {
#: |   store(cell); store_own(cell);
#: |   printf("%d %d %d\n", cell[0] == low, cell[1] != 0, cell[1] != low);
#: |   printf("%ld %ld %ld\n", is_low(low), is_low(low + 1), distance(low + 3));
#: |   printf("%d %d %ld %d %d\n", past(16) == low + 2, pushed() == low, is_own(), below() == low, (char *)carry() == (char *)low + 1);
#: |   printf("%s %s\n", text(), pushed_text());
#: | }
#: stdout 1 1 1
#: stdout 1 0 24
#: stdout 1 1 1 1 1
#: stdout value value
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function store
        movq    $SESSION(low), (%rdi)
        ret
        end store
        function is_low
        xor     %eax, %eax
        cmp     $SESSION(low), %rdi
        sete    %al
        ret
        end is_low
        function distance
        mov     %rdi, %rax
        sub     $SESSION(low), %rax
        ret
        end distance
        function past
        add     $SESSION(low), %rdi
        mov     %rdi, %rax
        ret
        end past
        function pushed
        movq    $1, -16(%rsp)
        push    $SESSION(low)
        .cfi_adjust_cfa_offset 8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        cmpq    $1, -16(%rsp)
        je      1f
        xor     %eax, %eax
1:      ret
        end pushed
        function is_own
        movq    $1, -16(%rsp)
        push    $SESSION(own)
        .cfi_adjust_cfa_offset 8
        pop     %rcx
        .cfi_adjust_cfa_offset -8
        lea     own(%rip), %rdx
        xor     %eax, %eax
        cmp     %rdx, %rcx
        sete    %al
        and     -16(%rsp), %rax
        ret
        end is_own
        function below
        movq    $SESSION(low), -128(%rsp)
        mov     -128(%rsp), %rax
        ret
        end below
        function store_own
        movq    $SESSION(own), 8(%rdi)
        ret
        end store_own
        function text
        mov     $SESSION(text), %eax
        ret
        end text
        function pushed_text
        push    $SESSION(text)
        .cfi_adjust_cfa_offset 8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        ret
        end pushed_text
        function carry
        xor     %eax, %eax
        stc
        adc     $SESSION(low), %rax
        ret
        end carry

        .data
        .balign 8
        .local  own
own:    .zero   64
