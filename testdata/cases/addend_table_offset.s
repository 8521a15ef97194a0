# The distance from the global offset table, as code of the medium model adds it: known to the linker for what this
# object defines, computed by the initializer for all else.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560c00", "name": "own", "size": 16}],
#: map  "values": [{"name": "heap", "address": "0x7f1234560800", "size": 64, "init": {"call": "make", "args": []}}]}
#: place .text+0x9 symbol cell+8 slot
#: place .text+0x29 symbol own+8 relative
#: place .text+0x49 value heap+16 slot
#: oracle no
#: calls 1
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | static char heap[64];
#: | void *make(void) { return heap; }
#: | extern char *address(void), *made(void);
#: | extern long *mine(void);
#: | int main(void) { printf("%d %ld %d\n", address() == cell + 8, *mine(), made() == heap + 16); }
#: stdout 1 7 1
        .globl  address, mine, made
        .macro  offset name, what
        .p2align 5
\name:  lea     _GLOBAL_OFFSET_TABLE_(%rip), %rcx
        .reloc  .+2, R_X86_64_GOTOFF64, \what
        .byte   0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0
        add     %rcx, %rax
        ret
        .endm
        offset  address, SESSION(cell)+8
        offset  mine, SESSION(own)+8
        offset  made, SESSION(heap)+16
        .data
        .balign 8
own:    .quad   5, 7
