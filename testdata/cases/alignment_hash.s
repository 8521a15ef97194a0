# A hash of an address: exclusive or with a number of which no compiler knew a bit is no addition in disguise.
#: map {"symbols": [{"address": "0x7f1234560d08", "name": "cell", "size": 64}]}
#: place .text+0x2 symbol cell+0 got
#: driver
#: | extern char cell[64] __attribute__((aligned(8)));
#: | char cell[64] __attribute__((aligned(8)));
#: | long hash(long);
#: | int main(void) {
#: |   printf("%d\n", hash(77) == ((((long)cell ^ 77) * 0x9e3779b1) & 0xff0));
#: |   return 0;
#: | }
#: stdout 1
        .globl  hash
        .type   hash, @function
hash:   movabs  $SESSION(cell), %rax
        xor     %rdi, %rax
        mov     $0x9e3779b1, %ecx
        imul    %rcx, %rax
        and     $0xff0, %eax
        ret
        .size   hash, . - hash
