# Instructions that access memory of another module pc-relatively, the address in the addend: LLVM's code for a variable
# that is an alias of a number. It may end up too far away: the same instructions through a register, in thunks.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560800", "name": "hook", "size": 8}],
#: map  "values": [{"name": "block", "address": "0x7f1234560900", "size": 8, "init": {"call": "find", "args": []}}]}
#: place .text+0x3 symbol cell+8 thunk
#: place .text+0xa symbol cell+8 thunk
#: place .text+0x11 symbol cell+16 thunk
#: place .text+0x1a symbol cell+24 thunk
#: place .text+0x21 symbol cell+32 thunk
#: place .text+0x2e symbol cell+16 thunk
#: place .text+0x38 value block+0 thunk
#: place .text+0x43 symbol hook+0 thunk
#: place .text+0x4e symbol hook+0 thunk
#: oracle no
#: driver
#: | #include <stdio.h>
#: | long cell[8] = {1, 2, 3, 40, 5};
#: | static long made = 77;
#: | void *find(void) { return &made; }
#: | static long twice(long x) { return 2 * x; }
#: | long (*hook)(long) = twice;
#: | extern long all(long), value(void), calls(long), leaves(long);
#: | int main(void) {
#: |   long sum = all(10);
#: |   printf("%ld %ld %ld %ld %ld\n", sum, cell[2], cell[3], cell[4], value());
#: |   printf("%ld %ld\n", calls(4), leaves(5));
#: | }
#: stdout 3 10 50 1 77
#: stdout 9 10
        .macro  access bytes:vararg
        .byte   \bytes
        .endm
        .globl  all, value, calls, leaves
        .type   all, @function
all:    .reloc  .+3, R_X86_64_PC32, SESSION(cell)+8-4
        access  0x48, 0x8b, 0x05, 0, 0, 0, 0                    # mov cell+8(%rip),%rax
        .reloc  .+3, R_X86_64_PC32, SESSION(cell)+8-4
        access  0x48, 0x3b, 0x05, 0, 0, 0, 0                    # cmp cell+8(%rip),%rax
        .reloc  .+3, R_X86_64_PC32, SESSION(cell)+16-4
        access  0x48, 0x89, 0x3d, 0, 0, 0, 0                    # mov %rdi,cell+16(%rip)
        .reloc  .+5, R_X86_64_PC32, SESSION(cell)+24-4
        access  0xf0, 0x48, 0x0f, 0xc1, 0x3d, 0, 0, 0, 0        # lock xadd %rdi,cell+24(%rip)
        # The field is not the end of the instruction.
        .reloc  .+3, R_X86_64_PC32, SESSION(cell)+32-8
        access  0x48, 0xc7, 0x05, 0, 0, 0, 0, 1, 0, 0, 0        # movq $1,cell+32(%rip)
        setne   %cl
        .reloc  .+2, R_X86_64_PC32, SESSION(cell)+16-5
        access  0x80, 0x3d, 0, 0, 0, 0, 10                      # cmpb $10,cell+16(%rip)
        jmp     1f
        .size   all, . - all
        .type   value, @function
value:  .reloc  .+3, R_X86_64_PC32, SESSION(block)-4
        access  0x48, 0x8b, 0x05, 0, 0, 0, 0                    # mov block(%rip),%rax
        ret
        .size   value, . - value
        .type   calls, @function
calls:  sub     $8, %rsp
        .reloc  .+2, R_X86_64_PC32, SESSION(hook)-4
        access  0xff, 0x15, 0, 0, 0, 0                          # call *hook(%rip)
        inc     %rax
        jmp     2f
        .size   calls, . - calls
        .type   leaves, @function
leaves: .reloc  .+2, R_X86_64_PC32, SESSION(hook)-4
        access  0xff, 0x25, 0, 0, 0, 0                          # jmp *hook(%rip)
        .size   leaves, . - leaves
1:      sete    %dl
        movzbl  %dl, %edx
        add     %rdx, %rax
        ret
2:      add     $8, %rsp
        ret
