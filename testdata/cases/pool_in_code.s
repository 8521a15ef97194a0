# Words among the code, behind the function that reads them and inside its size, read by all sorts of instructions.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560800", "name": "hook"}]}
#: place .text+0x40 symbol cell+0 got
#: place .text+0x48 symbol cell+8 slot
#: place .text+0x50 symbol hook+0 got
#: place .text+0x58 symbol hook+0 got
#: lowered none
#: section none
#: slots 1
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | long hook(long x) { return x * 10; }
#: | extern int same(void *);
#: | extern void *choose(int);
#: | extern long run(long), twice(long);
#: | int main(void) {
#: |   printf("%d %d ", same(cell), same(cell + 1));
#: |   printf("%d %d ", choose(0) == cell, choose(1) == cell + 8);
#: |   printf("%ld %ld\n", run(4), twice(4));
#: | }
#: stdout 1 0 1 1 40 41
        .globl  same, choose, run, twice
        .type   same, @function
same:   cmp     .Lcell(%rip), %rdi
        sete    %al
        movzbl  %al, %eax
        ret
        .type   choose, @function
choose: mov     .Lcell(%rip), %rax
        test    %edi, %edi
        cmovne  .Lnext(%rip), %rax
        ret
        .type   run, @function
run:    jmp     *.Lhook(%rip)
        .type   twice, @function
twice:  push    .Lother(%rip)
        call    *(%rsp)
        pop     %rcx
        cmpq    $0, .Lother(%rip)
        je      1f
        inc     %rax
1:      ret
        .balign 16
.Lcell: .quad   SESSION(cell)
.Lnext: .quad   SESSION(cell)+8
.Lhook: .quad   SESSION(hook)
.Lother: .quad  SESSION(hook)
        .size   twice, . - twice
