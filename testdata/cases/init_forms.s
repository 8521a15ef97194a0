# Every expression form, evaluated when the object is loaded.
#: map {"values": [
#: map   {"name": "once", "init": {"call": "count", "args": []}},
#: map   {"name": "sum", "init": {"call": "mixed", "args": [
#: map      {"int": 1}, {"float64": 0.5}, {"int": -2}, {"float64": 1.5}, {"int": 3}, {"float64": 2.5}, {"int": 4},
#: map      {"float64": 3.5}, {"int": 5}, {"float64": 4.5}, {"int": 6}, {"float64": 5.5}, {"float64": 6.5}, {"float64": -7.25}]}}],
#: map  "globals": [
#: map   {"symbol": "cells", "offset": 0, "init": {"value": "once"}},
#: map   {"symbol": "cells", "offset": 8, "init": {"value": "once"}},
#: map   {"symbol": "cells", "offset": 16, "init": {"value": "sum"}},
#: map   {"symbol": "cells", "offset": 24, "init": {"load": {"symbol": "holder"}, "offset": 8}},
#: map   {"symbol": "cells", "offset": 32, "init": {"load": {"symbol": "holder"}, "offset": 16, "nullable": true}},
#: map   {"symbol": "cells", "offset": 40, "init": {"call": "negative", "returns": "int32"}},
#: map   {"symbol": "cells", "offset": 48, "init": {"add": [{"symbol": "holder"}, -8]}},
#: map   {"symbol": "cells", "offset": 56, "init": {"shr": [{"symbol": "holder"}, 3]}},
#: map   {"symbol": "cells", "offset": 64, "init": {"shl": [{"int": 3}, 16]}},
#: map   {"symbol": "cells", "offset": 72, "init": {"neg": {"symbol": "holder"}}},
#: map   {"symbol": "cells", "offset": 80, "init": {"not": {"int": 5}}},
#: map   {"symbol": "cells", "offset": 88, "init": {"call": {"load": {"symbol": "through"}}, "args": [{"string": "h\u00e9"}]}},
#: map   {"symbol": "cells", "offset": 96, "init": {"bytes": "AQAAAAAAAAAAAAAAAAAAAAMAAAAAAAAA", "align": 128,
#: map      "words": [{"offset": 8, "value": {"symbol": "holder", "offset": 8}}]}},
#: map   {"symbol": "cells", "offset": 104, "init": {"bytes": "AAAAAAAAAAA=", "writable": true,
#: map      "words": [{"offset": 0, "value": {"value": "once"}}]}},
#: map   {"symbol": "cells", "offset": 112, "init": {"call": "nothing", "nullable": true}},
#: map   {"symbol": "cells", "offset": 120, "init": {"int": -1}},
#: map   {"symbol": "cells", "offset": 128, "init": {"call": "aligned", "args": [{"call": "count", "args": []}]}}]}
#: place none
#: driver
#: | #include <stdint.h>
#: | #include <stdio.h>
#: | #include <string.h>
#: | static long counted;
#: | long holder[3] = {1, 77, 0};
#: | long count(void) { return 100 + ++counted; }
#: | long mixed(long a, long b, long c, long d, long e, long f, double p, double q, double r, double s, double t, double u,
#: |            double v, double w) {
#: |     return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f + (long)(4 * (p + q + r + s + t + u + v + w));
#: | }
#: | int negative(void) { return -2; }
#: | void *nothing(void) { return 0; }
#: | static long length(const char *text) { return strlen(text); }
#: | long (*through)(const char *) = length;
#: | long aligned(long n) { return n * 1000 + ((uintptr_t)__builtin_frame_address(0) & 15); }
#: | extern long cells[17];
#: | int main(void) {
#: |     printf("%ld %ld %ld\n", cells[0], cells[1], cells[2]);
#: |     printf("%ld %ld %ld\n", cells[3], cells[4], cells[5]);
#: |     printf("%d %d\n", cells[6] == (long)holder - 8, cells[7] == (long)((uintptr_t)holder >> 3));
#: |     printf("%ld %d %ld %ld\n", cells[8], cells[9] == -(long)holder, cells[10], cells[11]);
#: |     long *copy = (long *)cells[12];
#: |     printf("%ld %d %ld %d\n", copy[0], copy[1] == (long)(holder + 1), copy[2], (int)(cells[12] & 127));
#: |     long *second = (long *)cells[13];
#: |     printf("%ld %d", *second, (int)(cells[13] & 63));
#: |     *second = 6;
#: |     printf(" %ld\n", *second);
#: |     printf("%ld %ld %ld %ld\n", cells[14], cells[15], cells[16], counted);
#: | }
#: stdout 101 101 654350
#: stdout 77 0 -2
#: stdout 1 1
#: stdout 196608 1 -6 3
#: stdout 1 1 3 0
#: stdout 101 0 6
#: stdout 0 -1 102000 2
        .bss
        .globl  cells
        .balign 8
        .type   cells, @object
cells:  .zero   136
        .size   cells, 136
