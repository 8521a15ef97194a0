# Two addresses in one instruction, a displacement of 32 bits and an immediate: each goes through a register of its own in
# one thunk. Flags, registers and what lies below the stack pointer stay.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "cell", "size": 64}, {"address": "0x404080", "name": "own", "size": 64},
#: map              {"address": "0x4040c0", "name": "other", "size": 64}]}
#: thunks 8
#: place .text symbol own+0 thunk
#: place .text symbol other+0 thunk
#: place .text symbol own+0 relative
#: place .text symbol cell+8 thunk
#: place .text symbol own+0 thunk
#: place .text symbol cell+0 thunk
#: place .text symbol other+0 thunk
#: place .text symbol cell+0 thunk
#: place .text symbol other+0 thunk
#: place .text symbol cell+0 thunk
#: place .text symbol other+0 thunk
#: place .text symbol cell+0 thunk
#: place .text symbol other+0 thunk
#: place .text symbol cell+32 thunk
#: place .text symbol other+0 thunk
#: place .text symbol cell+0 thunk
#: place .text symbol other+0 thunk
#: driver
#: | #include <stdio.h>
#: | char *cell[8], other[64];
#: | void store(void), store_own(void), store_own_address(void);
#: | char *own_word(void);
#: | long compared(void), indexed(long), below(void), carry(void), added(long);
#: | int main(void) {
#: |   store(); store_own(); store_own_address();
#: |   printf("%d%d%d\n", cell[0] == other, own_word() == other, *(char **)cell[1] == other);
#: |   printf("%ld", compared()); cell[0]++; printf("%ld", compared()); cell[0] -= 2; printf("%ld\n", compared());
#: |   printf("%ld ", indexed(3)); printf("%d %ld\n", cell[3] == other, below());
#: |   cell[4] = (char *)-1;
#: |   printf("%ld ", carry()); printf("%d\n", cell[4] == other);
#: |   cell[6] = (char *)5; printf("%ld ", added(6)); printf("%d\n", cell[6] == other + 5);
#: | }
#: stdout 111
#: stdout 123
#: stdout 6 1 5
#: stdout 1 1
#: stdout 18 1
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
        movq    $SESSION(other), SESSION(cell)
        ret
        end store
        function store_own
        movq    $SESSION(other), SESSION(own)
        ret
        end store_own
        function own_word
        mov     SESSION(own), %rax
        ret
        end own_word
        function store_own_address
        movq    $SESSION(own), SESSION(cell)+8
        ret
        end store_own_address
        # 1: equal; 2: above; 3: below.
        function compared
        mov     $1, %eax
        cmpq    $SESSION(other), SESSION(cell)
        je      1f
        mov     $2, %eax
        ja      1f
        mov     $3, %eax
        jc      1f
        ud2
1:      ret
        end compared
        # The registers that come first are in use.
        function indexed
        mov     %rdi, %rcx
        mov     $2, %edx
        movq    $1, -8(%rsp)
        movq    $SESSION(other), SESSION(cell)(,%rcx,8)
        lea     (%rcx,%rdx), %rax
        add     -8(%rsp), %rax
        ret
        end indexed
        function below
        movq    $5, -128(%rsp)
        movq    $SESSION(other), SESSION(cell)
        mov     -128(%rsp), %rax
        ret
        end below
        function carry
        xor     %eax, %eax
        stc
        lock adcq $SESSION(other), SESSION(cell)+32
        setc    %al
        ret
        end carry
        function added
        mov     %rdi, %rax
        mov     %rdi, %rcx
        mov     %rdi, %rdx
        lock addq $SESSION(other), SESSION(cell)(,%rdx,8)
        add     %rcx, %rax
        add     %rdx, %rax
        ret
        end added

        .data
        .balign 8
        .local  own
own:    .zero   64
