# All bits of the address count: no alignment helps.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 1024, "align": 1024}]}
#: refused (hashed): the code relies on bits of the address of `cell` that are others in every process (`xor %rdi,%rax` at .text+0xe); let the compiler see a symbol
#: refused (both): the code relies on bits of the address of `cell` that are others in every process (`or %rdi,%rax`
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function hashed
        movabs  $SESSION(cell), %rax
        shr     $8, %rdi
        xor     %rdi, %rax
        ret
        end hashed
        # Whether both are aligned: no addition, and the number may have any bits.
        function both
        movabs  $SESSION(cell), %rax
        or      %rdi, %rax
        test    $15, %al
        sete    %al
        ret
        end both
