// The small model where returns must match calls (-fcf-protection, the default of some distributions): what jumps through
// a switch table goes on in a register that nothing uses behind the jump.
//: flags -O2 -fno-pic -fno-pie -mcmodel=small -fcf-protection=full
//: oracle no
// A shared library would need an indirection for every variable of others, which this code has not.
//: modes pie,static-pie,static,no-pie
//: place none
//: driver
//: | #include <stdio.h>
//: | int sw(int, int);
//: | int thrice(int x) { return 3 * x; }
//: | int main(void) {
//: |   for (int i = -1; i < 8; i++) printf("%d ", sw(i, 100));
//: |   puts(".");
//: | }
//: stdout -1 101 300 93 309 97 800 33 -1 .
int thrice(int);
int sw(int i, int x) {
    switch (i) {
    case 0: return x + 1;
    case 1: return x * 3;
    case 2: return x - 7;
    case 3: return thrice(x + 3);
    case 4: return x ^ 5;
    case 5: return x << 3;
    case 6: return x / 3;
    }
    return -1;
}
