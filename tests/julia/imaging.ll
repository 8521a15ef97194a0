; The cases as Julia 1.11 to 1.13 compiles them in imaging mode: empty variables that the session's process would fill.
; LINKAGE is what varies: a definition in .bss or .data, local or hidden, or none at all.
source_filename = "imaging"
target triple = "x86_64-unknown-linux-gnu"

@"jl_sym#asymbol#7" = LINKAGE
@"jl_global#8" = LINKAGE
@"jl_global#9" = LINKAGE
@"jl_global#10" = LINKAGE
@"jl_symYY.hitYY.11" = LINKAGE
@"jl_sym#miss#12" = LINKAGE
@"+Core.Tuple#13" = LINKAGE
@"jl_global#14" = LINKAGE
@"MUL.MainDOT.relocfix_bindingYY.15" = LINKAGE
@ccall_labs_16 = internal global ptr null
@jl_nothing = external global ptr

; f(x) = x + 1
define i64 @julia_increment(i64 signext %x) {
top:
  %0 = add i64 %x, 1
  ret i64 %0
}

; a call of the runtime
define ptr @julia_box(i64 signext %x) {
top:
  %0 = call ptr @ijl_box_int64(i64 signext %x)
  ret ptr %0
}
declare ptr @ijl_box_int64(i64 signext)

; f() = :asymbol
define ptr @julia_symbol() {
top:
  %0 = load ptr, ptr @"jl_sym#asymbol#7", align 8
  ret ptr %0
}

; f(x) = x == :asymbol
define i8 @julia_is_symbol(ptr %x) {
top:
  %0 = load ptr, ptr @"jl_sym#asymbol#7", align 8
  %1 = icmp eq ptr %x, %0
  %2 = zext i1 %1 to i8
  ret i8 %2
}

; a String
define ptr @julia_string() {
top:
  %0 = load ptr, ptr @"jl_global#8", align 8
  ret ptr %0
}

; a closure over a boxed value
define i64 @julia_closure(i64 signext %y) {
top:
  %0 = load ptr, ptr @"jl_global#9", align 8
  %1 = load i64, ptr %0, align 8
  %2 = add i64 %1, %y
  ret i64 %2
}

; r[] = s == :hit ? :hit : :miss
define void @julia_mutate(ptr %s) {
top:
  %0 = load ptr, ptr @"jl_global#10", align 8
  %1 = load ptr, ptr @"jl_symYY.hitYY.11", align 8
  %2 = load ptr, ptr @"jl_sym#miss#12", align 8
  %3 = icmp eq ptr %s, %1
  %4 = select i1 %3, ptr %1, ptr %2
  %5 = load ptr, ptr %0, align 8
  store ptr %4, ptr %5, align 8
  ret void
}

; Tuple{Vector{Ref{Float64}}, Int64}
define ptr @julia_tuple() {
top:
  %0 = load ptr, ptr @"+Core.Tuple#13", align 8
  ret ptr %0
}

; a Module
define ptr @julia_module() {
top:
  %0 = load ptr, ptr @"jl_global#14", align 8
  ret ptr %0
}

; a Binding
define ptr @julia_binding() {
top:
  %0 = load ptr, ptr @"MUL.MainDOT.relocfix_bindingYY.15", align 8
  ret ptr %0
}

; a variable of the runtime
define ptr @julia_nothing() {
top:
  %0 = load ptr, ptr @jl_nothing, align 8
  ret ptr %0
}

; a ccall, which fills its variable itself
define i64 @julia_ccall(i64 %x) {
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
