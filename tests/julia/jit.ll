; The cases as Julia's JIT has them: addresses of the session as numbers, in every place that LLVM puts them.
source_filename = "jit"
target triple = "x86_64-unknown-linux-gnu"

; Names that stand for addresses: one that others see, and some of which only distances are left.
@"jl_global#8.jit" = alias ptr, inttoptr (i64 STRING to ptr)
@"jl_global#9.jit" = internal alias i64, inttoptr (i64 BOXED to ptr)
@jlplt_labs_16_got.jit = internal alias i64 (i64), inttoptr (i64 LABS to ptr)
; Eight bytes without a relocation, among constants and beside a relocation.
@"jl_sym#hit#11.jit" = constant ptr inttoptr (i64 HIT to ptr)
@"jl_sym#miss#12.jit" = constant { ptr, ptr } { ptr @julia_increment, ptr inttoptr (i64 MISS to ptr) }

define i64 @julia_increment(i64 signext %x) {
top:
  %0 = add i64 %x, 1
  ret i64 %0
}

define ptr @julia_box(i64 signext %x) {
top:
  %0 = call ptr inttoptr (i64 BOX_INT64 to ptr)(i64 signext %x)
  ret ptr %0
}

define ptr @julia_symbol() {
top:
  ret ptr inttoptr (i64 ASYMBOL to ptr)
}

define i8 @julia_is_symbol(ptr %x) {
top:
  %0 = icmp eq ptr %x, inttoptr (i64 ASYMBOL to ptr)
  %1 = zext i1 %0 to i8
  ret i8 %1
}

define ptr @julia_string() {
top:
  ret ptr @"jl_global#8.jit"
}

; The first byte of a String's text, which lies inside the object.
define i8 @julia_text() {
top:
  %0 = load i8, ptr inttoptr (i64 add (i64 STRING, i64 8) to ptr), align 8
  ret i8 %0
}

define i64 @julia_closure(i64 signext %y) {
top:
  %0 = load i64, ptr @"jl_global#9.jit", align 8
  %1 = add i64 %0, %y
  ret i64 %1
}

define void @julia_mutate(ptr %s) {
top:
  %0 = load ptr, ptr @"jl_sym#hit#11.jit", align 8
  %1 = load ptr, ptr getelementptr (i8, ptr @"jl_sym#miss#12.jit", i64 8), align 8
  %2 = icmp eq ptr %s, %0
  %3 = select i1 %2, ptr %0, ptr %1
  %4 = load ptr, ptr inttoptr (i64 REF to ptr), align 8
  store ptr %3, ptr %4, align 8
  ret void
}

define ptr @julia_tuple() {
top:
  ret ptr inttoptr (i64 TUPLE to ptr)
}

define ptr @julia_module() {
top:
  ret ptr inttoptr (i64 MODULE to ptr)
}

define ptr @julia_binding() {
top:
  ret ptr inttoptr (i64 BINDING to ptr)
}

define ptr @julia_nothing() {
top:
  ret ptr inttoptr (i64 NOTHING to ptr)
}

; x isa Vector{Any}: the type's address as a number, to compare the header with.
define i8 @julia_is_vector(ptr %x) {
top:
  %0 = getelementptr i8, ptr %x, i64 -8
  %1 = load i64, ptr %0, align 8
  %2 = and i64 %1, -16
  %3 = icmp eq i64 %2, VECTOR
  %4 = zext i1 %3 to i8
  ret i8 %4
}

define i64 @julia_ccall(i64 %x) {
top:
  %0 = call i64 @jlplt_labs_16_got.jit(i64 %x)
  ret i64 %0
}
