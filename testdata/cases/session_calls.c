// A compiler that was handed addresses as numbers writes them in whatever way suits it.
//: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64},
//: map              {"address": "0x7f1234560800", "name": "hook"}]}
//: flags -O0 -fPIC
//: place .text symbol cell+0 got
//: place .text symbol hook+0 got
//: driver
//: | #include <stdio.h>
//: | long cell[8];
//: | long hook(long x) { return x * 10; }
//: | long run(long);
//: | int main(void) { cell[0] = 1; cell[7] = 2; printf("%ld", run(4)); printf(" %ld\n", cell[1]); }
//: stdout 43 4
#ifdef SYMBOLIC
extern char cell[], hook[];
#endif

long run(long x) {
    volatile long *p = (long *)SESSION(cell);
    p[1] = x;
    return ((long (*)(long))SESSION(hook))(x) + p[0] + p[7];
}
