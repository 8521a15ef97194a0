# Assemblers put segment prefixes, which mean nothing there, before instructions so that branches behind them do not cross
# a line of the cache (-mbranches-within-32B-boundaries).
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}],
#: map  "values": [{"name": "text", "address": "0x7f1234560900", "size": 8, "init": {"string": "value"}}]}
#: place .text+0x3 symbol cell+0 got
#: place .text+0x11 symbol cell+8 slot
#: place .text+0x1c symbol cell+16 thunk
#: place .text+0x2b value text+0 slot
#: driver
#: | #include <stdio.h>
#: | long cell[8] = {1, 2};
#: | long *get(void), load(long *);
#: | const char *text(void);
#: | int main(void) {
#: |   long same;
#: |   printf("%d ", get() == cell); printf("%ld ", load(&same)); printf("%ld %ld %s\n", same, cell[2], text());
#: | }
#: stdout 1 2 2 2 value
        .globl  get, load, text
        .type   get, @function
get:    cs movabs $SESSION(cell), %rax
        ret
        .size   get, . - get
        .type   load, @function
load:   .byte   0x3e, 0x3e, 0x2e
        movabs  SESSION(cell)+8, %rax
        .byte   0x2e
        movabs  %rax, SESSION(cell)+16
        mov     %rax, (%rdi)
        ret
        .size   load, . - load
        .type   text, @function
text:   ds movabs $SESSION(text), %r9
        mov     %r9, %rax
        ret
        .size   text, . - text
