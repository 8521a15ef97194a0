# Words of data as small as numbers, which another session or the map says are addresses inside of something.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64}]}
#: witness
#: oracle no
#: place .data+0x0 symbol low+0 direct
#: place .data+0x8 symbol low+16 direct
#: driver
#: | extern char low[64]; char low[64];
#: | extern char *words[3];
#: | int main(void) {
#: |   printf("%d %d %ld\n", words[0] == low, words[1] == low + 16, (long)words[2]);
#: |   return 0;
#: | }
#: stdout 1 1 4210756
        .data
        .globl  words
words:  .quad   SESSION(low)
        .quad   SESSION(low) + 16
        .quad   0x404044
        .size   words, . - words
