; LLVM's way with numbers that are addresses: constants in code, in data and in vectors.
;: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
;: map              {"address": "0x7f1234560800", "name": "hook"}]}
;: flags -O0 -fPIC -Wno-override-module
;: place .text symbol hook+0 got
;: place .data symbol cell+0 direct
;: place .rodata symbol cell+16 direct
;: section .rodata .data.rel.ro
;: oracle no
;: driver
;: | #include <stdio.h>
;: | char cell[64];
;: | long hook(long x) { return x * 10; }
;: | long run(long);
;: | extern void *variable, *const constant;
;: | int main(void) { printf("%ld %d %d\n", run(4), variable == cell, constant == cell + 16); }
;: stdout 41 1 1
@variable = global ptr inttoptr (i64 SESSION(cell) to ptr)
@constant = constant ptr inttoptr (i64 add (i64 SESSION(cell), i64 16) to ptr)

define i64 @run(i64 %x) {
  %hook = inttoptr i64 SESSION(hook) to ptr
  %r = call i64 %hook(i64 %x)
  %s = add i64 %r, 1
  ret i64 %s
}
