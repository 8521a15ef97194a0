; The cases as Julia's JIT has them: addresses of the session as numbers, in every place that LLVM puts them.
source_filename = "jit_VARIANT"
target triple = "x86_64-unknown-linux-gnu"

; Names that stand for addresses: one that others see, and some of which only distances are left.
@"jl_global#VARIANT8.jit" = alias ptr, inttoptr (i64 STRING to ptr)
@"jl_global#VARIANT9.jit" = internal alias i64, inttoptr (i64 BOXED to ptr)
@jlplt_labs_16_got.jit = internal alias i64 (i64), inttoptr (i64 LABS to ptr)
; Eight bytes without a relocation, among constants and beside a relocation.
@"jl_sym#hit#VARIANT11.jit" = hidden constant ptr inttoptr (i64 HIT to ptr)
@"jl_sym#miss#VARIANT12.jit" = hidden constant { ptr, ptr } { ptr @julia_increment_VARIANT, ptr inttoptr (i64 MISS to ptr) }, section ".data.rel.ro"

define i64 @julia_increment_VARIANT(i64 signext %x) {
top:
  %0 = add i64 %x, 1
  ret i64 %0
}

define ptr @julia_box_VARIANT(i64 signext %x) {
top:
  %0 = call ptr inttoptr (i64 BOX_INT64 to ptr)(i64 signext %x)
  ret ptr %0
}

define ptr @julia_symbol_VARIANT() {
top:
  ret ptr inttoptr (i64 ASYMBOL to ptr)
}

define i8 @julia_is_symbol_VARIANT(ptr %x) {
top:
  %0 = icmp eq ptr %x, inttoptr (i64 ASYMBOL to ptr)
  %1 = zext i1 %0 to i8
  ret i8 %1
}

define ptr @julia_string_VARIANT() {
top:
  ret ptr @"jl_global#VARIANT8.jit"
}

; The first byte of a String's text, which lies inside the object.
define i8 @julia_text_VARIANT() {
top:
  %0 = load i8, ptr inttoptr (i64 add (i64 STRING, i64 8) to ptr), align 8
  ret i8 %0
}

define i64 @julia_closure_VARIANT(i64 signext %y) {
top:
  %0 = load i64, ptr @"jl_global#VARIANT9.jit", align 8
  %1 = add i64 %0, %y
  ret i64 %1
}

define void @julia_mutate_VARIANT(ptr %s) {
top:
  %0 = load ptr, ptr @"jl_sym#hit#VARIANT11.jit", align 8
  %1 = load ptr, ptr getelementptr (i8, ptr @"jl_sym#miss#VARIANT12.jit", i64 8), align 8
  %2 = icmp eq ptr %s, %0
  %3 = select i1 %2, ptr %0, ptr %1
  store ptr %3, ptr inttoptr (i64 REF to ptr), align 8
  %4 = load atomic i64, ptr inttoptr (i64 add (i64 REF, i64 -8) to ptr) unordered, align 8
  %5 = and i64 %4, 3
  %6 = icmp eq i64 %5, 3
  br i1 %6, label %may_trigger_wb, label %done
may_trigger_wb:
  %7 = getelementptr inbounds i64, ptr %3, i64 -1
  %8 = load atomic i64, ptr %7 unordered, align 8
  %9 = and i64 %8, 1
  %10 = icmp eq i64 %9, 0
  br i1 %10, label %trigger_wb, label %done
trigger_wb:
  call void inttoptr (i64 QUEUE to ptr)(ptr inttoptr (i64 REF to ptr))
  br label %done
done:
  ret void
}

define ptr @julia_tuple_VARIANT() {
top:
  ret ptr inttoptr (i64 TUPLE to ptr)
}

define ptr @julia_module_VARIANT() {
top:
  ret ptr inttoptr (i64 MODULE to ptr)
}

define ptr @julia_binding_VARIANT() {
top:
  ret ptr inttoptr (i64 BINDING to ptr)
}

define ptr @julia_nothing_VARIANT() {
top:
  ret ptr inttoptr (i64 NOTHING to ptr)
}

; x isa Vector{Any}: the type's address as a number, to compare the header with.
define i8 @julia_is_vector_VARIANT(ptr %x) {
top:
  %0 = getelementptr i8, ptr %x, i64 -8
  %1 = load i64, ptr %0, align 8
  %2 = and i64 %1, -16
  %3 = icmp eq i64 %2, VECTOR
  %4 = zext i1 %3 to i8
  ret i8 %4
}

define i64 @julia_ccall_VARIANT(i64 %x) {
top:
  %0 = call i64 @jlplt_labs_16_got.jit(i64 %x)
  ret i64 %0
}
