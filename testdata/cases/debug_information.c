// Debug sections, notes and the order of symbols stay; the report says which line a place comes from.
//: flags -g -O0 -fPIC
//: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
//: place .text symbol cell+0 got
//: driver
//: | #include <stdio.h>
//: | long cell[8] = {12};
//: | long run(void);
//: | int main(void) { printf("%ld\n", run()); }
//: stdout 12
#ifdef SYMBOLIC
extern char cell[];
#endif

long run(void) { return *(volatile long *)SESSION(cell); }
