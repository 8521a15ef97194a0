/* A program at a fixed address that lists what it has there, and waits. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

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
    printf("heap %p\n", malloc(32));
    printf("block %p\nready\n", mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
    fflush(stdout);
    return getchar() == 0;
}
