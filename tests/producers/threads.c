/* A program with threads of every kind: the first one, one that waits, one that runs, and one on a stack that the program
   has mapped itself; and with thread-local variables of its own, of a library that it is linked to, and of one that it
   loads while they run.

       threads LATER.so

   prints a line `NAME-NUMBER ADDRESS` for each thread and variable, where NUMBER is the thread's, then `ready`, and waits
   for the end of its input; a first line `crash` ends it by SIGABRT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the library that it is linked to. */
extern __thread long of_library[100];
static __thread long of_program[10] = {1};
/* Gives the calling thread's variable. */
static long *(*of_later)(void);

static pthread_barrier_t loaded, told;
static atomic_long runs;

static void tell(const char *name, void *address) {
    printf("%s-%d %p\n", name, (int)gettid(), address);
}

static void tell_all(void) {
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    volatile long on_stack = 1;
    pthread_mutex_lock(&one);
    tell("stack", (void *)&on_stack);
    tell("program", &of_program[5]);
    tell("library", &of_library[50]);
    tell("later", of_later());
    tell("control", (void *)pthread_self());
    pthread_mutex_unlock(&one);
}

static void *waits(void *forever) {
    pthread_barrier_wait(&loaded);
    tell_all();
    pthread_barrier_wait(&told);
    while (forever)
        pause();
    for (;;)
        runs++;
    return NULL;
}

static void start(void *forever, void *stack, size_t size) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    if (stack && pthread_attr_setstack(&attributes, stack, size))
        exit(1);
    if (pthread_create(&thread, &attributes, waits, forever))
        exit(1);
}

int main(int argc, char **argv) {
    size_t size = 1 << 18;
    pthread_barrier_init(&loaded, NULL, 4);
    pthread_barrier_init(&told, NULL, 4);
    /* What lies around it may not be written to: memory that is alike would be one mapping with it. */
    char *own = mmap(NULL, size + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(own + 4096, size, PROT_READ | PROT_WRITE);
    start(&runs, NULL, 0);
    start(NULL, NULL, 0);
    start(&runs, own + 4096, size);
    void *later = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    of_later = later ? dlsym(later, "of_later") : NULL;
    if (!of_later)
        return 1;
    pthread_barrier_wait(&loaded);
    tell_all();
    pthread_barrier_wait(&told);
    while (!runs)
        sched_yield();
    puts("ready");
    fflush(stdout);
    char line[16] = "";
    if (fgets(line, sizeof line, stdin) && !strcmp(line, "crash\n"))
        abort();
    return 0;
}
