; An object that needs no Julia, and is filled when it is loaded.
source_filename = "plain_VARIANT"
target triple = "x86_64-unknown-linux-gnu"

@plain = external global ptr

define ptr @julia_plain_VARIANT() {
top:
  %0 = load ptr, ptr @plain, align 8
  ret ptr %0
}

; How many variables of the list are empty.
@__start_julia_each = external hidden global ptr
@__stop_julia_each = external hidden global ptr
define i64 @julia_empty_VARIANT() {
top:
  br label %next
next:
  %at = phi ptr [ @__start_julia_each, %top ], [ %behind, %count ]
  %empty = phi i64 [ 0, %top ], [ %more, %count ]
  %end = icmp eq ptr %at, @__stop_julia_each
  br i1 %end, label %done, label %count
count:
  %variable = load ptr, ptr %at, align 8
  %word = load ptr, ptr %variable, align 8
  %null = icmp eq ptr %word, null
  %one = zext i1 %null to i64
  %more = add i64 %empty, %one
  %behind = getelementptr i8, ptr %at, i64 8
  br label %next
done:
  ret i64 %empty
}
