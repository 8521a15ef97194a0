# What the initializer makes comes through a slot, in code as everywhere; what this object defines comes from one
# as well, since the instruction reads a word.
#: map {"symbols": [{"address": "0x7f1234560c00", "name": "own", "size": 16}],
#: map  "values": [{"name": "heap", "address": "0x7f1234560800", "size": 64, "init": {"call": "make", "args": []}},
#: map             {"name": "text", "address": "0x7f1234560900", "size": 8, "init": {"string": "abc"}}]}
#: place .text+0x20 value heap+0 slot
#: place .text+0x28 value text+1 slot
#: place .text+0x30 symbol own+8 slot
#: oracle no
#: slots 4
#: calls 1
#: driver
#: | #include <stdio.h>
#: | static char heap[64];
#: | void *make(void) { return heap; }
#: | extern void *get(void);
#: | extern const char *string(void);
#: | extern long *mine(void);
#: | int main(void) { printf("%d %s %ld\n", get() == heap, string(), *mine()); }
#: stdout 1 bc 7
        .globl  get, string, mine
get:    mov     .Lheap(%rip), %rax
        ret
string: mov     .Ltext(%rip), %rax
        ret
mine:   mov     .Lown(%rip), %rax
        ret
        .balign 16
.Lheap: .quad   SESSION(heap)
.Ltext: .quad   SESSION(text)+1
.Lown:  .quad   SESSION(own)+8
        .data
        .balign 8
own:    .quad   5, 7
