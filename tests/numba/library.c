/* A library that the tests' functions call: what is exported, and what only a capsule names. */

double numba_test_callback(double x) { return x * 3.0 + 0.25; }

const double numba_test_table[7] = {1.0, 0.0, 2.0, 0.0, 4.0, 0.0, 8.0};

static double hidden(double x) { return x + 100.0; }

void *numba_test_hidden(void) { return (void *)hidden; }
