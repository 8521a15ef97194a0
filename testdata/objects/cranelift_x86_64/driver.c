/* What the functions of the object refer to, and what they answer. */
#include <stdio.h>

long cell_400 = 11, cell_610, cell_700[2] = {3, 4}, cell_800[32];
char cell_a00, cell_b00[64], cell_b40[64], cell_e00[8], cell_e40[64];
long cell_500(long x) { return x == (long)&cell_610 ? 99 : x + 1; }

extern long load(void), store(long), callargs(void), fields(void), cmp(void *), store2(void *);
extern long call(long);
extern long at(long) __asm__("index");
extern void *choose(long) __asm__("select");

int main(void) {
  void *pair[2] = {0, 0};
  cell_800[5] = 55;
  printf("%ld ", load());
  store(12);
  printf("%ld %ld %ld %ld %ld\n", cell_400, call(6), callargs(), fields(), at(5));
  printf("%ld %ld\n", cmp(&cell_a00), cmp(&cell_b00));
  printf("%d %d\n", choose(1) == cell_b00, choose(0) == cell_b40);
  store2(pair);
  printf("%d %d\n", pair[0] == cell_e00, pair[1] == cell_e40);
  return 0;
}
