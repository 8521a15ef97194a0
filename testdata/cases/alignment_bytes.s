# Copies of bytes are laid out so that they have the low bits of the session's addresses, as far as the code relies on them.
#: map {"values": [{"address": "0x7f1234570400", "name": "block", "size": 16,
#: map              "init": {"bytes": "AQAAAAAAAAACAAAAAAAAAA==", "writable": true}},
#: map             {"address": "0x7f1234580050", "name": "odd", "size": 16,
#: map              "init": {"add": [{"bytes": "AwAAAAAAAAAEAAAAAAAAAA=="}, 8]}}]}
#: place .text value block+0 slot
#: place .text value block+8 slot
#: place .text value block+0 slot
#: place .text value odd+0 slot
#: place .text value odd+0 slot
#: aligned .text 16
#: aligned .text 256
#: aligned .text 64
#: aligned .text 8
#: oracle no
#: driver
#: | #include <stdio.h>
#: | int loaded(void), odd(void);
#: | char *page(long), *start(void), *addition(void);
#: | int main(void) {
#: |   long first = (long)start() % 256;
#: |   printf("%d %ld %td %d %d\n", loaded(), first, page(100) - start(), odd(), *(int *)(addition() - 4));
#: | }
#: stdout 1 0 0 16 4
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
        function page
        movabs  $SESSION(block)+8, %rax
        add     %rdi, %rax
        and     $-256, %rax
        ret
        end page
        function start
        movabs  $SESSION(block), %rax
        ret
        end start
        function odd
        movabs  $SESSION(odd), %rax
        and     $63, %eax
        ret
        end odd
        function addition
        movabs  $SESSION(odd), %rax
        or      $4, %rax
        ret
        end addition
