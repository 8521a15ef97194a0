# Words among the code that a relocation fills, and that all sorts of instructions read: alone, in pairs, and beside a
# constant of the session.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place .text+0x68 symbol cell+8 slot
#: lowered .text+0x40 cell got
#: lowered .text+0x48 cell slot
#: lowered .text+0x50 hook got
#: lowered .text+0x60 cell slot
#: lowered .text+0x70 .data slot
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | long hook(long x) { return x * 10; }
#: | extern int same(void *);
#: | extern void *choose(int), *mine(void);
#: | extern long run(long);
#: | extern void pair(void **);
#: | int main(void) {
#: |   void *both[2];
#: |   pair(both);
#: |   printf("%d %d ", same(cell), same(cell + 1));
#: |   printf("%d %d ", choose(0) == cell, choose(1) == cell + 8);
#: |   printf("%d %d ", both[0] == cell + 16, both[1] == cell + 8);
#: |   printf("%ld %ld\n", run(4), *(long *)mine());
#: | }
#: stdout 1 0 1 1 1 1 40 77
        .globl  same, choose, run, pair, mine
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
        .type   pair, @function
pair:   movdqa  .Lpair(%rip), %xmm0
        movdqu  %xmm0, (%rdi)
        ret
        .type   mine, @function
mine:   mov     .Lmine(%rip), %rax
        ret
        .balign 16
.Lcell: .quad   cell
.Lnext: .quad   cell + 8
.Lhook: .quad   hook
        .balign 16
.Lpair: .quad   cell + 16, SESSION(cell)+8
.Lmine: .quad   local
        .size   mine, . - mine
        .data
        .balign 8
local:  .quad   77
