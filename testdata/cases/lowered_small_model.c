// Code for a fixed address below 2 GiB, as gcc makes it by default where executables are not position-independent:
// switch tables, arrays, strings, comparisons with addresses, and an address stored into a variable of another object.
//: flags -O2 -fno-pic -fno-pie -mcmodel=small -fcf-protection=none
//: oracle no
// A shared library would need an indirection for every variable of others, which this code has not.
//: modes pie,static-pie,static,no-pie
//: place none
//: driver
//: | #include <stdio.h>
//: | int table[16] = {1, 2, 3};
//: | const char *names[] = {"zero", "one"};
//: | long counter;
//: | void *cell;
//: | static int twice(int x) { return 2 * x; }
//: | int (*handler)(int);
//: | long other(const char *text) { return printf("%s ", text); }
//: | int pick(int), call(int), is(void *), sw(int, int);
//: | const char *name(int), *text(void);
//: | long say(void), *where(void), hit_count(int);
//: | void hit(int), store(void);
//: | int (**set(int (*)(int)))(int);
//: | unsigned char low8(int);
//: | long across(int, int), pushes(int);
//: | void *cells[8];
//: | void put(int), put_handler(void);
//: | int at(int);
//: | long seven(long a, long b, long c, long d, long e, long f, const char *g) { return printf("%s ", g) + f; }
//: | int main(void) {
//: |   printf("%d %s %s\n", pick(2), name(1), text());
//: |   printf("%d\n", set(twice) == &handler);
//: |   printf("%d\n", call(21));
//: |   printf("%d %d %d\n", where() == &counter, is(&counter), is(table));
//: |   hit(3); hit(3); store();
//: |   printf("%ld %d %d\n", hit_count(3), cell == &counter, low8(4));
//: |   for (int i = -1; i < 8; i++) printf("%d ", sw(i, 100));
//: |   printf("%ld\n", say());
//: |   for (int i = 0; i < 6; i++) printf("%ld ", across(i, 5));
//: |   printf("%ld\n", pushes(1));
//: |   put(5); put_handler();
//: |   printf("%d %d %d\n", cells[5] == &counter, at(5), handler(1));
//: | }
//: stdout 7 one a string of the object
//: stdout 1
//: stdout 42
//: stdout 1 1 0
//: stdout 4 1 2
//: stdout -1 101 300 93 three 6 97 800 33 -1 hello 6
//: stdout held 10 held 9 held held 24 12 5 5 one 11
//: stdout 1 1 43
extern int table[16];
extern const char *names[];
extern long counter;
extern int (*handler)(int);
extern void *cell;
static const int own[8] = {3, 1, 4, 1, 5, 9, 2, 6};
static long hits[8];
long other(const char *);
int pick(int i) { return table[i & 15] + own[i & 7]; }
const char *name(int i) { return names[i]; }
const char *text(void) { return "a string of the object"; }
long say(void) { return other("hello"); }
int call(int i) { counter++; return handler(i); }
long *where(void) { return &counter; }
int is(void *p) { return p == &counter; }
void hit(int i) { hits[i & 7] += 2; }
long hit_count(int i) { return hits[i & 7]; }
int (**set(int (*f)(int)))(int) { handler = f; return &handler; }
void store(void) { cell = &counter; }
int sw(int i, int x) {
    switch (i) {
    case 0: return x + 1;
    case 1: return x * 3;
    case 2: return x - 7;
    case 3: return other("three");
    case 4: return x ^ 5;
    case 5: return x << 3;
    case 6: return x / 3;
    }
    return -1;
}
unsigned char low8(int i) { return ((unsigned char *)table)[i]; }
// An address in a register before the jump that uses it behind some of its targets.
long across(int i, int x) {
    const char *text = "held";
    __asm__("" : "+r"(text));
    switch (i) {
    case 0: return other(text) + x;
    case 1: return other(text) + (x & 4);
    case 2: return other(text) + other(text) * 0 + x + 14;
    case 3: return x + 7;
    case 4: return x;
    case 5: return x * 1;
    }
    return -1;
}
long seven(long, long, long, long, long, long, const char *);
// Two of them in one instruction.
extern void *cells[8];
void put(int i) { cells[i] = &counter; }
int at(int i) { return cells[i] == &counter; }
static int more(int i) { return i + 42; }
void put_handler(void) { handler = more; }
long pushes(int i) { return seven(1, 2, 3, 4, 5, 7, names[i]); }
