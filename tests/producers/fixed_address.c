/* A program at a fixed address that lists what it has there, and waits. */
#include <stdio.h>
#include <stdlib.h>

long table[16] = {3};
long helper(void) { return 7; }
static __attribute__((noinline)) long hidden(void) { return 9; }
static long zeroed[4096];

int main(void) {
    void *volatile address;
    printf("table %p\nhelper %p\nhidden %p\n", (void *)table, (void *)helper, (void *)hidden);
    printf("zeroed %p\n", (void *)zeroed);
    address = "a literal of the program";
    printf("literal %p\n", address);
    printf("heap %p\nready\n", malloc(32));
    fflush(stdout);
    return getchar() == 0;
}
