// The same loop where nothing says that the table is aligned in every process.
//: map {"symbols": [{"address": "0x7f1234560400", "name": "table", "size": 4096}]}
//: compiler clang
//: flags -O2 -fPIC -msse2 -ffast-math
//: refused (total): the code relies on `table` being aligned to 16 as it was in the session (`
//: refused (scale): the code relies on `table` being aligned to 16
float total(void) {
    const float *numbers = (const float *)SESSION(table);
    float sum = 0;
#pragma clang loop vectorize_width(4) interleave_count(1) unroll(disable)
    for (int i = 0; i < 1024; i++)
        sum += numbers[i];
    return sum;
}

void scale(float by) {
    float *numbers = (float *)SESSION(table);
#pragma clang loop vectorize_width(4) interleave_count(1) unroll(disable)
    for (int i = 0; i < 1024; i++)
        numbers[i] *= by;
}
