# Pc-relative instructions whose relocation names no symbol: the addend is the address, less the distance from the
# field to the instruction's end.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560800", "name": "hook"},
#: map              {"address": "0x7f1234560c00", "name": "own", "size": 16}]}
#: place .text+0x5 symbol hook+0 relative
#: place .text+0x11 symbol hook+0 relative
#: place .text+0x23 symbol cell+0 got
#: place .text+0x33 symbol cell+8 slot
#: place .text+0x43 symbol own+8 relative
#: place .text+0x52 symbol own+0 relative
#: lowered none
#: slots 1
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | long hook(long x) { return x * 10; }
#: | extern long calls(long), tail(long), *mine(void);
#: | extern char *address(void), *inner(void);
#: | extern int is_five(void);
#: | int main(void) {
#: |   printf("%ld %ld ", calls(4), tail(5));
#: |   printf("%d %d ", address() == cell, inner() == cell + 8);
#: |   printf("%ld %d\n", *mine(), is_five());
#: | }
#: stdout 40 50 1 1 7 1
        .globl  calls, tail, address, inner, mine, is_five
        .p2align 4
calls:  sub     $8, %rsp
        .reloc  .+1, R_X86_64_PLT32, SESSION(hook)-4
        .byte   0xe8, 0, 0, 0, 0                # call hook
        add     $8, %rsp
        ret
        .p2align 4
tail:   .reloc  .+1, R_X86_64_PC32, SESSION(hook)-4
        .byte   0xe9, 0, 0, 0, 0                # jmp hook
        .p2align 4
address:
        .reloc  .+3, R_X86_64_PC32, SESSION(cell)-4
        .byte   0x48, 0x8d, 0x05, 0, 0, 0, 0    # lea cell(%rip), %rax
        ret
        .p2align 4
inner:  .reloc  .+3, R_X86_64_PC32, SESSION(cell)+8-4
        .byte   0x48, 0x8d, 0x05, 0, 0, 0, 0    # lea cell+8(%rip), %rax
        ret
        .p2align 4
mine:   .reloc  .+3, R_X86_64_PC32, SESSION(own)+8-4
        .byte   0x48, 0x8d, 0x05, 0, 0, 0, 0    # lea own+8(%rip), %rax
        ret
        .p2align 4
is_five:
        .reloc  .+2, R_X86_64_PC32, SESSION(own)-5
        .byte   0x83, 0x3d, 0, 0, 0, 0, 5       # cmpl $5, own(%rip)
        sete    %al
        movzbl  %al, %eax
        ret
        .data
        .balign 8
        .globl  own
        .hidden own
own:    .quad   5, 7
