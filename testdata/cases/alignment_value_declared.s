# What a call makes is aligned as the map says.
#: map {"values": [{"address": "0x7f1234570400", "name": "block", "size": 64, "align": 32,
#: map              "init": {"call": "make_block"}}]}
#: place .text value block+0 slot
#: aligned .text 16
#: oracle no
#: driver
#: | #include <stdio.h>
#: | #include <stdlib.h>
#: | void *make_block(void) { int *p = aligned_alloc(32, 64); *p = 7; return p; }
#: | int loaded(void);
#: | int main(void) { printf("%d\n", loaded()); }
#: stdout 7
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function loaded
        movabs  $SESSION(block), %rax
        movaps  (%rax), %xmm0
        movd    %xmm0, %eax
        ret
        end loaded
