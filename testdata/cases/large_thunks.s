# Thunks of the large code model's code go beside it, and both near the slots, although more than 2 GiB of data lie among
# what is linked. A group has its own. (libc.a does not link beside so much: mold puts data of its own behind it.)
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}, {"address": "0x7f1234560440", "name": "own", "size": 8}]}
#: oracle no
#: modes no-pie,pie,shared
#: thunks 4
#: place .ltext symbol cell+0 thunk
#: place .ltext symbol cell+8 thunk
#: place .ltext symbol own+0 thunk
#: place .ltext.grouped symbol cell+16 thunk
#: lowered .ltext .lbss slot
#: driver
#: | #include <stdio.h>
#: | long cell[8];
#: | long store(long), zero(long), see(void), grouped(long);
#: | void store_own(long);
#: | int main(void) {
#: |   printf("%ld ", store(42)); printf("%ld ", cell[0]);
#: |   cell[1] = -1; printf("%ld ", zero(7)); printf("%lx ", cell[1]);
#: |   store_own(43); printf("%ld ", see());
#: |   printf("%ld ", grouped(44)); printf("%ld\n", cell[2]);
#: | }
#: stdout 42 42 7 ffffffffffffff07 43 44 44
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        .section .ltext, "axl", @progbits
        function store
        mov     %rdi, %rax
        movabs  %rax, SESSION(cell)
        ret
        end store
        function zero
        mov     %rdi, %rax
        movabs  %al, SESSION(cell)+8
        ret
        end zero
        function store_own
        mov     %rdi, %rax
        movabs  %rax, SESSION(own)
        ret
        end store_own
        function see
        movabs  $own, %rcx
        mov     (%rcx), %rax
        ret
        end see

        .section .ltext.grouped, "axGl", @progbits, grouped, comdat
        .weak   grouped
        .type   grouped, @function
grouped:
        .cfi_startproc
        mov     %rdi, %rax
        movabs  %rax, SESSION(cell)+16
        ret
        end grouped

        .section .lbss, "awl", @nobits
        .balign 8
        .local  own
        .zero   0xa0000000
own:    .zero   8
