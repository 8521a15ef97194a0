# Where each reference of large-model code goes.
#: place none
#: lowered .text+0x2 outside got
#: lowered .text+0xd outside slot
#: lowered .text+0x18 .data relative
#: lowered .text+0x23 hidden_data relative
#: lowered .text+0x2e .ldata slot
#: lowered .text+0x39 shown got
#: slots 2
        .macro  give name, address
        .globl  \name
        .type   \name, @function
\name:  movabs  $\address, %rax
        ret
        .size   \name, . - \name
        .endm

        .text
        give    at, outside
        give    in, outside+8
        give    mine, my_data
        give    hers, hidden_data
        give    far, far_data
        give    theirs, shown

        .data
my_data:
        .byte   'm'
        .hidden hidden_data
        .globl  hidden_data, shown
hidden_data:
        .byte   'h'
shown:  .byte   's'
        .section .ldata, "awl", @progbits
far_data:
        .byte   'f'
