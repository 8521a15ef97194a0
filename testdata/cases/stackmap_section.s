# A section that is found by its name keeps it and becomes writable; there is no other protection for it.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .llvm_stackmaps+0x8 symbol cell+0 direct
#: section .llvm_stackmaps .llvm_stackmaps
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | extern void *const __LLVM_StackMaps[2];
#: | int main(void) { printf("%ld %d\n", (long)__LLVM_StackMaps[0], __LLVM_StackMaps[1] == cell); }
#: stdout 3 1
        .section .llvm_stackmaps, "a", @progbits
        .globl  __LLVM_StackMaps
        .balign 8
        .type   __LLVM_StackMaps, @object
__LLVM_StackMaps:
        .quad   3, SESSION(cell)
        .size   __LLVM_StackMaps, . - __LLVM_StackMaps
