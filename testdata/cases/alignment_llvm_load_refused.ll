; The same where nothing says that the table is aligned in every process.
;: map {"symbols": [{"address": "0x7f1234560400", "name": "table", "size": 4096}]}
;: flags -O2 -fPIC -Wno-override-module
;: refused (first): the code relies on `table` being aligned to 32 as it was in the session (`vmovaps
target triple = "x86_64-unknown-linux-gnu"

define void @first(ptr %out) #0 {
  %v = load <8 x float>, ptr inttoptr (i64 SESSION(table) to ptr), align 4
  store <8 x float> %v, ptr %out, align 4

  ret void
}

attributes #0 = { "target-features"="+avx" }
