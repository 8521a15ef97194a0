; LLVM makes an aligned load of one that is not, when the address is a number that is aligned by chance.
;: map {"symbols": [{"address": "0x7f1234560400", "name": "table", "size": 4096, "align": 64}]}
;: flags -O2 -fPIC -Wno-override-module
;: place .text symbol table+0 got
;: aligned .text 32
;: oracle no
;: driver
;: | #include <stdio.h>
;: | float table[1024] __attribute__((aligned(64))) = {0, 1, 2, 3};
;: | void first(float *);
;: | int main(void) {
;: |   float out[8];
;: |   if (!__builtin_cpu_supports("avx")) { puts("2"); return 0; }
;: |   first(out);
;: |   printf("%g\n", out[2]);
;: | }
;: stdout 2
target triple = "x86_64-unknown-linux-gnu"

define void @first(ptr %out) #0 {
  %v = load <8 x float>, ptr inttoptr (i64 SESSION(table) to ptr), align 4
  store <8 x float> %v, ptr %out, align 4

  ret void
}

attributes #0 = { "target-features"="+avx" }
