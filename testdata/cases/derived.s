# What compilers make of an address before they put it into code or data: shifted, negated, tagged, boxed as a number that is none
# (NaN), a table's element before the first, its end, a word of a packed structure. A witness shows what each is.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"},
#: map              {"start": "0x7f5091560000", "end": "0x7f5091570000", "perms": "rw-p"},
#: map              {"start": "0x7f6a92560000", "end": "0x7f6a92570000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "table", "size": 64}, {"address": "0x7f5091560448", "name": "cell", "size": 16},
#: map              {"address": "0x7f6a92560480", "name": "byte", "size": 1}]}
#: witness
#: oracle no
#: place .text expression table >> 3+0 slot
#: place .text expression byte >> 8+0 slot
#: place .text expression -table+0 slot
#: place .text expression ~cell+0 slot
#: place .text symbol byte+1 slot
#: place .text expression table - 1125899906842624+0 slot
#: place .text symbol table+-8 slot
#: place .text symbol table+64 slot
#: place .text expression table << 16+0 slot
#: place .data symbol table+8 direct
#: place .data expression -cell+0 init
#: driver
#: | #include <stdint.h>
#: | #include <stdio.h>
#: | #include <string.h>
#: | long table[8], cell[2];
#: | char byte;
#: | uint64_t shifted(void), page(void), negated(void), inverted(void), tagged(void), boxed(void), before(void), past(void), upper(void);
#: | extern char packed[];
#: | extern uint64_t word_negated;
#: | int main(void) {
#: |   uint64_t t = (uint64_t)table, c = (uint64_t)cell, b = (uint64_t)&byte, word;
#: |   printf("%d%d%d%d\n", shifted() == t >> 3, page() == b >> 8, negated() == -t, inverted() == ~c);
#: |   printf("%d%d%d", tagged() == (b | 1), boxed() == (t | 0xfffcull << 48), before() == t - 8);
#: |   printf("%d%d\n", past() == (uint64_t)(table + 8), upper() == t << 16);
#: |   memcpy(&word, packed + 1, 8);
#: |   printf("%d%d", word == t + 8, packed[0] == 7);
#: |   printf("%d\n", word_negated == -c);
#: | }
#: stdout 1111
#: stdout 11111
#: stdout 111
        .macro  function name, number
        .globl  \name
        .type   \name, @function
\name:  movabs  $\number, %rax
        ret
        .size   \name, . - \name
        .endm

        function shifted, SESSION(table)>>3
        function page, SESSION(byte)>>8
        function negated, -SESSION(table)
        function inverted, ~SESSION(cell)
        function tagged, SESSION(byte)+1
        function boxed, SESSION(table)|0xfffc000000000000
        function before, SESSION(table)-8
        function past, SESSION(table)+64
        function upper, SESSION(table)<<16

        .data
        .globl  packed
        .type   packed, @object
packed: .byte   7
        .quad   SESSION(table)+8
        .size   packed, . - packed
        .balign 8
        .globl  word_negated
        .type   word_negated, @object
word_negated:
        .quad   -SESSION(cell)
        .size   word_negated, 8
