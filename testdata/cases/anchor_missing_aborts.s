# A library that is not loaded, or is another build: the program ends, and says which one it needs.
#: options --private anchor
#: libs -Wl,--build-id=0x00112233445566778899aabbccddeefe
#: map {"mappings": [{"start": "0x7f1234000000", "end": "0x7f1234002000", "perms": "r-xp", "path": "/nowhere/libx.so",
#: map  "build_id": "00112233445566778899aabbccddeeff"}]}
#: place .data+0x0 file libx.so+16 init
#: oracle no
#: driver
#: | int main(void) { return 0; }
#: aborts cannot fill libx.so: libx.so with the build-id 00112233445566778899aabbccddeeff is not loaded
        .data
        .globl  word
        .balign 8
        .type   word, @object
word:   .quad   SESSION(libx.so)+16
        .size   word, 8
