; The cases as Julia 1.11 to 1.13 compiles them in imaging mode: empty variables that the session's process would fill.
; LINKAGE is what varies: a definition in .bss or .data, local, hidden or exported, or none at all; and VARIANT, so that
; there can be many in one library.
source_filename = "imaging_VARIANT"
target triple = "x86_64-unknown-linux-gnu"

@"jl_sym#asymbol#VARIANT7" = LINKAGE
@"jl_global#VARIANT8" = LINKAGE
@"jl_global#VARIANT9" = LINKAGE
@"jl_global#VARIANT10" = LINKAGE
@"jl_symYY.hitYY.VARIANT11" = LINKAGE
@"jl_sym#miss#VARIANT12" = LINKAGE
@"+Core.Tuple#VARIANT13" = LINKAGE
@"jl_global#VARIANT14" = LINKAGE
@"MUL.MainDOT.relocfix_bindingYY.VARIANT15" = LINKAGE
@ccall_labs_16 = internal global ptr null
@jl_nothing = external global ptr

; f(x) = x + 1
define i64 @julia_increment_VARIANT(i64 signext %x) {
top:
  %0 = add i64 %x, 1
  ret i64 %0
}

; a call of the runtime
define ptr @julia_box_VARIANT(i64 signext %x) {
top:
  %0 = call ptr @ijl_box_int64(i64 signext %x)
  ret ptr %0
}
declare ptr @ijl_box_int64(i64 signext)

; f() = :asymbol
define ptr @julia_symbol_VARIANT() {
top:
  %0 = load ptr, ptr @"jl_sym#asymbol#VARIANT7", align 8
  ret ptr %0
}

; f(x) = x == :asymbol
define i8 @julia_is_symbol_VARIANT(ptr %x) {
top:
  %0 = load ptr, ptr @"jl_sym#asymbol#VARIANT7", align 8
  %1 = icmp eq ptr %x, %0
  %2 = zext i1 %1 to i8
  ret i8 %2
}

; a String
define ptr @julia_string_VARIANT() {
top:
  %0 = load ptr, ptr @"jl_global#VARIANT8", align 8
  ret ptr %0
}

; a closure over a boxed value
define i64 @julia_closure_VARIANT(i64 signext %y) {
top:
  %0 = load ptr, ptr @"jl_global#VARIANT9", align 8
  %1 = load i64, ptr %0, align 8
  %2 = add i64 %1, %y
  ret i64 %2
}

; r[] = s == :hit ? :hit : :miss, with what tells the collector
define void @julia_mutate_VARIANT(ptr %s) {
top:
  %0 = load ptr, ptr @"jl_global#VARIANT10", align 8
  %1 = load ptr, ptr @"jl_symYY.hitYY.VARIANT11", align 8
  %2 = load ptr, ptr @"jl_sym#miss#VARIANT12", align 8
  %3 = icmp eq ptr %s, %1
  %4 = select i1 %3, ptr %1, ptr %2
  store ptr %4, ptr %0, align 8
  %5 = getelementptr inbounds i64, ptr %0, i64 -1
  %6 = load atomic i64, ptr %5 unordered, align 8
  %7 = and i64 %6, 3
  %8 = icmp eq i64 %7, 3
  br i1 %8, label %may_trigger_wb, label %done
may_trigger_wb:
  %9 = getelementptr inbounds i64, ptr %4, i64 -1
  %10 = load atomic i64, ptr %9 unordered, align 8
  %11 = and i64 %10, 1
  %12 = icmp eq i64 %11, 0
  br i1 %12, label %trigger_wb, label %done
trigger_wb:
  call void @ijl_gc_queue_root(ptr %0)
  br label %done
done:
  ret void
}
declare void @ijl_gc_queue_root(ptr)

; Tuple{Vector{Ref{Float64}}, Int64}
define ptr @julia_tuple_VARIANT() {
top:
  %0 = load ptr, ptr @"+Core.Tuple#VARIANT13", align 8
  ret ptr %0
}

; a Module
define ptr @julia_module_VARIANT() {
top:
  %0 = load ptr, ptr @"jl_global#VARIANT14", align 8
  ret ptr %0
}

; a Binding
define ptr @julia_binding_VARIANT() {
top:
  %0 = load ptr, ptr @"MUL.MainDOT.relocfix_bindingYY.VARIANT15", align 8
  ret ptr %0
}

; a variable of the runtime
define ptr @julia_nothing_VARIANT() {
top:
  %0 = load ptr, ptr @jl_nothing, align 8
  ret ptr %0
}

; a ccall, which fills its variable itself
define i64 @julia_ccall_VARIANT(i64 %x) {
top:
  %0 = load ptr, ptr @ccall_labs_16, align 8
  %1 = icmp eq ptr %0, null
  br i1 %1, label %lookup, label %call
lookup:
  store ptr @labs, ptr @ccall_labs_16, align 8
  br label %call
call:
  %2 = phi ptr [ %0, %top ], [ @labs, %lookup ]
  %3 = call i64 %2(i64 %x)
  ret i64 %3
}
declare i64 @labs(i64)
