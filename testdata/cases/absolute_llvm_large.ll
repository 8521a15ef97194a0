; LLVM's code for names that stand for addresses, in the large model: exported ones through the table, by the entry's
; offset in it, others by their own distance from it.
;: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
;: map              {"address": "0x7f1234560800", "name": "hook"}],
;: map  "values": [{"name": "heap", "address": "0x7f1234560900", "size": 64, "init": {"call": "make", "args": []}}]}
;: compiler clang-19
;: flags -O1 -fPIC -mcmodel=large -Wno-override-module
;: place .ltext symbol cell+16 slot
;: place *ABS* symbol cell+0 direct
;: place *ABS* symbol cell+16 direct
;: place *ABS* symbol hook+0 direct
;: place *ABS* value heap+0 slot
;: lowered .ltext exported got
;: lowered .ltext called got
;: lowered .ltext made slot
;: oracle no
;: driver
;: | #include <stdio.h>
;: | long cell[8] = {1, 2, 3, 4, 5};
;: | static long heap[8] = {9};
;: | void *make(void) { return heap; }
;: | long hook(long x) { return x * 10; }
;: | extern long get(void), at(long), run(long), load(void);
;: | int main(void) { printf("%ld %ld %ld %ld\n", get(), at(2), run(4), load()); }
;: stdout 1 5 41 9
@exported = alias i64, inttoptr (i64 SESSION(cell) to ptr)
@rest = internal alias i64, inttoptr (i64 add (i64 SESSION(cell), i64 16) to ptr)
@called = alias i64 (i64), inttoptr (i64 SESSION(hook) to ptr)
@made = alias i64, inttoptr (i64 SESSION(heap) to ptr)

define i64 @get() {
  %v = load i64, ptr @exported
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

define i64 @load() {
  %v = load i64, ptr @made
  ret i64 %v
}
