// Everything the large code model refers to, as gcc writes it: strings, tables, functions, what others define.
//: compiler gcc
//: flags -O2 -mcmodel=large -fno-pic -fno-asynchronous-unwind-tables
//: place none
//: driver
//: | #include <stdio.h>
//: | long outside = 30;
//: | long hook(long x) { return x + 1; }
//: | long everything(long, const char **);
//: | const char *name_of(int);
//: | int main(void) {
//: |     const char *text;
//: |     printf("%ld", everything(2, &text)), printf(" %s", text);
//: |     printf(" %ld", everything(2, &text));
//: |     printf(" %s %s %s\n", name_of(0), name_of(3), name_of(9));
//: | }
//: stdout 1086 some text 1087 zero three many
extern long outside, hook(long);
static long counter = 1000;
static long big[4096];
static long square(long x) { return x * x; }
static long twice(long x) { return x + x; }
static long (*const table[])(long) = {square, twice, hook};
static long *const words[] = {&outside, &counter};
long common;

long everything(long x, const char **text) {
    long total = 0;
    *text = "some text";
    for (int i = 0; i < 3; i++)
        total += table[i](x + i);
    total += *words[0] + (*words[1] > 0 ? 5 : 0);
    big[x * 100] += 7;
    common += 1;
    return total + (counter += 1) + (big[x * 100] > 0 ? 35 : 0) + common * 0;
}

const char *name_of(int n) {
    switch (n) {
    case 0: return "zero";
    case 1: return "one";
    case 2: return "two";
    case 3: return "three";
    case 4: return "four";
    case 5: return "five";
    default: return "many";
    }
}
