/* Constant addresses in the ways of ordinary code. NAME, TABLE and OTHER are what the session or the reference makes of them. */
#include <stdint.h>

#define T ((char *)TABLE)
#define O ((char *)OTHER)
typedef uint64_t u64;

void NAME(store)(u64 *p) { p[0] = (u64)T; p[1] = (u64)O; }
u64 NAME(two)(u64 i) { return *(u64 *)T + *(u64 *)O + ((u64 *)O)[i]; }
u64 NAME(stores)(u64 i) { *(u64 *)(T + 48) = i; *(u64 *)(O + 48) = i + 1; *(u64 *)(O + 56) = i; return ((u64 *)O)[6]; }
u64 NAME(shifted)(void) { return (u64)T >> 3; }
u64 NAME(from)(u64 x) { return x - (u64)T; }
u64 NAME(tagged)(void) { return (u64)T | 1; }
u64 NAME(inverted)(void) { return ~(u64)T; }
u64 NAME(within)(u64 x) { return x - (u64)T < 64; }
u64 NAME(sum)(void) {
  u64 sum = 0;
  for (u64 *p = (u64 *)T; p != (u64 *)(T + 48); p++) sum += *p;
  return sum;
}
u64 NAME(product)(void) {
  u64 sum = 0;
  for (int i = 0; i < 6; i++) sum += ((u64 *)T)[i] * ((u64 *)O)[i];
  return sum;
}
void NAME(copy)(void) {
  for (int i = 0; i < 3; i++) ((u64 *)O)[i + 3] = ((u64 *)T)[i];
}
u64 NAME(before)(u64 i) { return ((u64 *)T)[i - 1]; }
u64 NAME(volatiles)(u64 *p) { volatile u64 x = (u64)T; *(volatile u64 *)p = (u64)O; return x; }
u64 NAME(boxed)(void) { union { u64 bits; double number; } v; v.bits = (u64)T | 0xfffc000000000000ull; return v.bits; }
/* Below 4 GiB an address fits into 32 bits, and what is done with no more cannot be told from what is. */
#ifndef LOW
u64 NAME(page)(u64 x) { return x >> 12 == (u64)T >> 12; }
struct packed { int one; char *pointer; int two; char *other; char tag; char *tagged; } __attribute__((packed));
void NAME(packed)(void *at) {
  struct packed *p = at;
  p->one = 1;
  p->pointer = T;
  p->two = 2;
  p->other = O;
  p->tag = 5;
  p->tagged = T;
}
u64 NAME(choose)(u64 which) { return *(u64 *)(which ? T : O); }
u64 NAME(low)(void) { return (uint32_t)(u64)T; }
u64 NAME(low_same)(u64 x) { return (uint32_t)x == (uint32_t)(u64)T; }
u64 NAME(low_sum)(u64 x) { return (uint32_t)x + (uint32_t)(u64)T; }
u64 NAME(both)(u64 *high) { *high = (u64)O >> 32; return (uint32_t)(u64)O; }
u64 NAME(hashed)(void) { return (uint32_t)((u64)T >> 4); }
u64 NAME(part)(void) { return (u64)T >> 16; }
u64 NAME(distance)(void) { return O - T; }
#endif
