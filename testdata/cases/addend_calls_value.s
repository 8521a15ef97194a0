# A direct call of what only the initializer knows, and of an address inside a function: through a stub.
#: map {"symbols": [{"address": "0x7f1234560800", "name": "hook", "size": 64}],
#: map  "values": [{"name": "function", "address": "0x7f1234560900", "size": 8, "init": {"call": "find", "args": []}}]}
#: place .text+0x5 value function+0 slot
#: place .text+0x11 symbol hook+4 slot
#: place .text+0x23 value function+0 slot
#: oracle no
#: driver
#: | #include <stdio.h>
#: | static long found(long x) { return x + 100; }
#: | void *find(void) { return (void *)found; }
#: | __asm__(".globl hook\n.type hook, @function\nhook: .byte 0x0f, 0x1f, 0x40, 0\nlea 1(%rdi), %rax\nret\n");
#: | extern long calls(long), tail(long);
#: | extern void *address(void);
#: | int main(void) { printf("%ld %ld %d\n", calls(4), tail(5), address() == (void *)found); }
#: stdout 104 6 1
        .globl  calls, tail, address
        .p2align 4
calls:  sub     $8, %rsp
        .reloc  .+1, R_X86_64_PLT32, SESSION(function)-4
        .byte   0xe8, 0, 0, 0, 0
        add     $8, %rsp
        ret
        .p2align 4
tail:   .reloc  .+1, R_X86_64_PLT32, SESSION(hook)+4-4
        .byte   0xe9, 0, 0, 0, 0
        .p2align 4
address:
        .reloc  .+3, R_X86_64_PC32, SESSION(function)-4
        .byte   0x48, 0x8d, 0x05, 0, 0, 0, 0
        ret
