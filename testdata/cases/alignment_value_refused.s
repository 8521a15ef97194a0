# Of what a call makes nothing is known.
#: map {"values": [{"address": "0x7f1234570400", "name": "block", "size": 64,
#: map              "init": {"call": "make_block"}}]}
#: refused (loaded): the code relies on `block` being aligned to 16 as it was in the session (`movaps (%rax),%xmm0` at .text+0xa); declare "align": 16
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
