/* A process that makes code all the time, and tells debuggers (GDB manual, "JIT Compilation Interface").

       busy OBJECT.o

   loads the object's code in three places that stay, under a name of its own each, and registers it there. Then a
   thread registers and removes others without end: each for a moment, in memory that is overwritten, given back and
   used again. Of all that it ever registers, `code_NUMBER` is at `base + 16 * NUMBER`. Prints `base ADDRESS` and
   `ready`, and waits for the end of its input. */
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "jit_interface.h"

static char file[1 << 16], *base;
static size_t size;

/* Puts the object there, with `code_NUMBER` for the name of the same length that it has, and where that code is. */
static void write_object(char *to, int number) {
    memcpy(to, file, size);
    Elf64_Ehdr *header = (void *)to;
    Elf64_Shdr *sections = (void *)(to + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_flags & SHF_EXECINSTR && sections[i].sh_size)
            sections[i].sh_addr = (uint64_t)base + 16 * number;
    char name[16];
    snprintf(name, sizeof name, "code_%04d", number);
    char *place = memmem(to, size, "code_", 5);
    memcpy(place, name, strlen(name));
}

static void add(struct jit_code_entry *entry, const char *object) {
    entry->object = object;
    entry->size = size;
    entry->previous = NULL;
    entry->next = __jit_debug_descriptor.first;
    if (entry->next)
        entry->next->previous = entry;
    __jit_debug_descriptor.first = entry;
}

static void take_away(struct jit_code_entry *entry) {
    if (entry->next)
        entry->next->previous = entry->previous;
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        __jit_debug_descriptor.first = entry->next;
}

/* Up to eight at a time, the oldest one goes first. */
static void *work(void *nothing) {
    static struct jit_code_entry entries[8];
    static char *objects[8];
    for (unsigned round = 0;; round++) {
        int slot = round % 8, number = 3 + round % 997;
        if (objects[slot]) {
            take_away(&entries[slot]);
            memset(&entries[slot], 0xee, sizeof entries[slot]);
            memset(objects[slot], 0xee, size);
        }
        if (round % 64 == slot) {
            if (objects[slot])
                munmap(objects[slot], sizeof file);
            objects[slot] = mmap(NULL, sizeof file, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        }
        write_object(objects[slot], number);
        add(&entries[slot], objects[slot]);
    }
    return nothing;
}

int main(int argc, char **argv) {
    FILE *stream = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!stream)
        return 1;
    size = fread(file, 1, sizeof file, stream);
    base = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static struct jit_code_entry entries[3];
    for (int i = 0; i < 3; i++) {
        char *object = malloc(size);
        write_object(object, i);
        add(&entries[i], object);
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL))
        return 1;
    printf("base %p\nready\n", (void *)base);
    fflush(stdout);
    return getchar() == 0;
}
