; LLVM adds by `or` where the address has the bits clear that the other number may have. Here they are set.
;: map {"symbols": [{"address": "0x7f1234560400", "name": "table", "size": 4096}]}
;: flags -O2 -fPIC -Wno-override-module
;: place .text symbol table+0 got
;: place .text symbol table+0 got
;: realigned .text or %rdi,%rax add %rdi,%rax
;: realigned .text or %rdi,%rax add %rdi,%rax
;: aligned none
;: oracle no
;: driver
;: | #include <stdio.h>
;: | extern char table[4096];
;: | asm(".data\n .balign 4096\n .zero 0x3f8\n .globl table\n .type table, @object\n .size table, 4096\n"
;: |     "table: .zero 4096\n .text\n");
;: | char *near(long), *far(long);
;: | int main(void) { printf("%td %td %td\n", near(9) - table, near(66) - table, far(24) - table); }
;: stdout 9 2 24
target triple = "x86_64-unknown-linux-gnu"

define ptr @near(i64 %n) {
  %i = and i64 %n, 63
  %p = getelementptr i8, ptr inttoptr (i64 SESSION(table) to ptr), i64 %i
  ret ptr %p
}

define ptr @far(i64 %n) {
  %i = or disjoint i64 %n, SESSION(table)
  %p = inttoptr i64 %i to ptr
  ret ptr %p
}
