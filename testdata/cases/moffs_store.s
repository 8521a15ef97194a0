# A store to an absolute address has no register to spare, and a narrow load keeps the rest of its register: thunks do
# them. Flags, every register and the 128 bytes below the stack pointer are what they were.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560500", "name": "own", "size": 8}]}
#: thunks 7
#: place .text symbol cell+0 thunk
#: place .text symbol cell+8 thunk
#: place .text symbol cell+16 thunk
#: place .text symbol cell+24 thunk
#: place .text symbol cell+32 thunk
#: place .text symbol cell+40 thunk
#: place .text symbol own+0 thunk
#: driver
#: | #include <stdio.h>
#: | unsigned long cell[8];
#: | int put8(void), put4(void), put2(void), put1(void), get2(void), get1(void), own8(void);
#: | unsigned long see(void);
#: | int main(void) {
#: |   cell[4] = 0x0102; cell[5] = 3;
#: |   printf("%d%d%d%d%d%d%d\n", put8(), put4(), put2(), put1(), get2(), get1(), own8());
#: |   printf("%lx %lx %lx %lx %lx\n", cell[0], cell[1], cell[2], cell[3], see());
#: | }
#: stdout 0000000
#: stdout 1122334455667788 55667788 7788 88 1122334455667788
        # Runs an instruction and returns 0 if nothing but what it is for changed; 3 if the accumulator did not become
        # or stay what it should.
        .macro  guarded name expected instruction:vararg
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        movabs  $0x1122334455667788, %rax
        mov     %rbx, -8(%rsp)
        movq    $-5, -128(%rsp)
        movq    $-6, -64(%rsp)
        mov     $1, %ecx
        mov     $2, %edx
        mov     $3, %esi
        mov     $4, %edi
        mov     $0x7fffffff, %r8d
        add     $1, %r8d
        stc
        # Overflow, sign, parity and carry are set, zero is not.
        \instruction
        jno     1f
        jns     1f
        jnp     1f
        jnc     1f
        jz      1f
        cmp     -8(%rsp), %rbx
        jne     1f
        cmpq    $-5, -128(%rsp)
        jne     1f
        cmpq    $-6, -64(%rsp)
        jne     1f
        cmp     $1, %rcx
        jne     1f
        cmp     $2, %rdx
        jne     1f
        cmp     $3, %rsi
        jne     1f
        cmp     $4, %rdi
        jne     1f
        movabs  $\expected, %rcx
        cmp     %rcx, %rax
        jne     2f
        xor     %eax, %eax
        ret
1:      mov     $1, %eax
        ret
2:      mov     $3, %eax
        ret
        .cfi_endproc
        .size   \name, . - \name
        .endm

        guarded put8 0x1122334455667788 movabs %rax, SESSION(cell)
        guarded put4 0x1122334455667788 movabs %eax, SESSION(cell)+8
        guarded put2 0x1122334455667788 movabs %ax, SESSION(cell)+16
        guarded put1 0x1122334455667788 movabs %al, SESSION(cell)+24
        guarded get2 0x1122334455660102 movabs SESSION(cell)+32, %ax
        guarded get1 0x1122334455667703 movabs SESSION(cell)+40, %al
        guarded own8 0x1122334455667788 movabs %rax, SESSION(own)

        .globl  see
        .type   see, @function
see:    mov     own(%rip), %rax
        ret
        .size   see, . - see
        .local  own
        .comm   own, 8, 8
