# Symbols that hold a session address: what refers to them is led to what they mean, and they hold nothing any more.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
#: map              {"address": "0x7f1234560800", "name": "hook"}],
#: map  "values": [{"name": "heap", "address": "0x7f1234560900", "size": 64, "init": {"call": "make", "args": []}}]}
#: place .text+0x25 symbol hook+0 relative
#: place .data+0x0 symbol cell+24 direct
#: place *ABS*+0x0 symbol cell+0 direct
#: place *ABS*+0x0 symbol cell+8 direct
#: place *ABS*+0x0 symbol cell+16 direct
#: place *ABS*+0x0 symbol hook+0 direct
#: place *ABS*+0x0 value heap+0 slot
#: lowered .text+0x3 cell got
#: lowered .text+0x13 inner slot
#: lowered .text+0x33 other got
#: lowered .text+0x43 made slot
#: oracle no
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | static char heap[64];
#: | void *make(void) { return heap; }
#: | long hook(long x) { return x * 10; }
#: | extern char *first(void), *second(void), *fourth(void), *word;
#: | extern long third(long), fifth(long);
#: | int main(void) {
#: |   printf("%d %d ", first() == cell, second() == cell + 8);
#: |   printf("%ld %d ", third(4), fourth() == heap);
#: |   printf("%ld %d\n", fifth(5), word == cell + 24);
#: | }
#: stdout 1 1 40 1 50 1
        .globl  first, second, third, fourth, fifth, word, cell, inner, other, made, unused
        .p2align 4
first:  mov     cell@GOTPCREL(%rip), %rax
        ret
        .p2align 4
second: mov     inner@GOTPCREL(%rip), %rax
        ret
        .p2align 4
third:  sub     $8, %rsp
        call    other@PLT
        add     $8, %rsp
        ret
        .p2align 4
fifth:  mov     other@GOTPCREL(%rip), %rax
        jmp     *%rax
        .p2align 4
fourth: mov     made@GOTPCREL(%rip), %rax
        ret
        .data
        .balign 8
        .type   word, @object
word:   .quad   unused+8
        .size   word, 8
        .set    cell, SESSION(cell)
        .set    inner, SESSION(cell)+8
        .set    unused, SESSION(cell)+16
        .set    other, SESSION(hook)
        .set    made, SESSION(heap)
