// gcc's vectors, in a loop whose end is one past the end of the table.
//: map {"symbols": [{"address": "0x7f1234560400", "name": "table", "size": 4096, "align": 16},
//: map              {"address": "0x7f1234561400", "name": "behind", "size": 64}]}
//: flags -O2 -fPIC -msse2
//: oracle no
//: place .text symbol table+0 got
//: place .text symbol table+0 got
//: place .text symbol behind+0 got
//: place .text symbol behind+0 got
//: aligned .text 16
//: aligned .text 16
//: driver
//: | #include <stdio.h>
//: | extern float table[1024], behind[16];
//: | asm(".data\n .balign 16\n .globl table\n .type table, @object\n .size table, 4096\ntable: .zero 4096\n"
//: |     " .globl behind\n .type behind, @object\n .size behind, 64\nbehind: .zero 64\n .text\n");
//: | float total(void);
//: | void scale(float);
//: | int main(void) {
//: |   for (int i = 0; i < 1024; i++) table[i] = i & 7;
//: |   printf("%g ", total());
//: |   scale(2);
//: |   printf("%g\n", total());
//: | }
//: stdout 3584 7168
typedef float floats __attribute__((vector_size(16)));

float total(void) {
    const floats *numbers = (const floats *)SESSION(table);
    floats sum = {0, 0, 0, 0};
    for (int i = 0; i < 256; i++)
        sum += numbers[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

void scale(float by) {
    floats *numbers = (floats *)SESSION(table);
    floats factor = {by, by, by, by};
    for (int i = 0; i < 256; i++)
        numbers[i] *= factor;
}
