; Of two values in a function LLVM keeps the second as its distance from the first; in another process it is another.
;: map {"mappings": [{"start": "0x7f1234000000", "end": "0x7f1235000000", "perms": "rw-p"}],
;: map  "values": [{"name": "one", "address": "0x7f1234560010", "size": 32, "header": 8, "init": {"call": "make", "args": []}},
;: map             {"name": "two", "address": "0x7f1234564e10", "size": 32, "init": {"load": {"symbol": "two"}}}]}
;: flags -O2 -fPIC -Wno-override-module
;: refused (pick): reaches two (0x7f1234564e10) from one (0x7f1234560010) by the distance that they had
;: refused (pick): reaches two + 8 (0x7f1234564e18) from one (0x7f1234560010) by the distance
;: oracle no
target triple = "x86_64-unknown-linux-gnu"

define ptr @pick(i32 %x, ptr %out) {
  %field = load i64, ptr inttoptr (i64 139716164210200 to ptr), align 8
  store i64 %field, ptr %out, align 8
  %own = load i64, ptr inttoptr (i64 139716164190248 to ptr), align 8
  %at = getelementptr i8, ptr %out, i64 8
  store i64 %own, ptr %at, align 8
  %more = icmp sgt i32 %x, 5
  %one = select i1 %more, ptr inttoptr (i64 139716164190224 to ptr), ptr inttoptr (i64 139716164210192 to ptr)
  ret ptr %one
}
