// A loop over a table at an address that happens to be aligned, vectorized by LLVM: aligned loads and stores, and aligned
// operands of additions.
//: map {"symbols": [{"address": "0x7f1234560400", "name": "table", "size": 4096, "align": 16}]}
//: compiler clang
//: flags -O2 -fPIC -msse2 -ffast-math
//: place .text symbol table+0 got
//: place .text symbol table+0 got
//: aligned .text 16
//: aligned .text 16
//: driver
//: | #include <stdio.h>
//: | float table[1024] __attribute__((aligned(16)));
//: | float total(void);
//: | void scale(float);
//: | int main(void) {
//: |   for (int i = 0; i < 1024; i++) table[i] = i & 7;
//: |   printf("%g ", total());
//: |   scale(2);
//: |   printf("%g\n", total());
//: | }
//: stdout 3584 7168
#ifdef SYMBOLIC
extern float table[1024];
#endif

float total(void) {
    const float *numbers = (const float *)SESSION(table);
    float sum = 0;
#pragma clang loop vectorize_width(4) interleave_count(1) unroll(disable)
    for (int i = 0; i < 1024; i++)
        sum += numbers[i];
    return sum;
}

void scale(float by) {
    float *numbers = (float *)SESSION(table);
#pragma clang loop vectorize_width(4) interleave_count(1) unroll(disable)
    for (int i = 0; i < 1024; i++)
        numbers[i] *= by;
}
