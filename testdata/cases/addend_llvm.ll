; LLVM's code for names that stand for addresses, in the medium model: offsets from the global offset table.
;: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
;: map              {"address": "0x7f1234560800", "name": "hook"}]}
;: flags -O1 -fPIC -mcmodel=medium -Wno-override-module
;: place .text symbol cell+0 slot
;: place .text symbol cell+16 slot
;: place .text symbol hook+0 relative
;: place *ABS* symbol cell+0 direct
;: place *ABS* symbol cell+16 direct
;: place *ABS* symbol hook+0 direct
;: oracle no
;: driver
;: | #include <stdio.h>
;: | long cell[8] = {1, 2, 3, 4, 5};
;: | long hook(long x) { return x * 10; }
;: | extern long get(void), at(long), run(long);
;: | int main(void) { printf("%ld %ld %ld\n", get(), at(2), run(4)); }
;: stdout 1 5 41
@first = internal alias i64, inttoptr (i64 SESSION(cell) to ptr)
@rest = internal alias i64, inttoptr (i64 add (i64 SESSION(cell), i64 16) to ptr)
@called = internal alias i64 (i64), inttoptr (i64 SESSION(hook) to ptr)

define i64 @get() {
  %v = load i64, ptr @first
  ret i64 %v
}

define i64 @at(i64 %i) {
  %p = getelementptr i64, ptr @rest, i64 %i
  %v = load i64, ptr %p
  ret i64 %v
}

define i64 @run(i64 %x) {
  %r = call i64 @called(i64 %x)
  %s = add i64 %r, 1
  ret i64 %s
}
