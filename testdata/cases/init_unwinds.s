# A backtrace from a function that the initializer calls goes on into the startup code. (In a static executable gcc's
# startup files register the unwind tables later than that, with an ordinary constructor.)
#: modes shared,pie,static-pie,no-pie
#: map {"globals": [{"symbol": "filled", "init": {"call": "make", "args": [{"int": 1}]}}]}
#: place none
#: driver
#: | #include <stdio.h>
#: | #include <unwind.h>
#: | static int frames;
#: | static _Unwind_Reason_Code one(struct _Unwind_Context *context, void *data) {
#: |     (void)data;
#: |     frames += _Unwind_GetIP(context) != 0;
#: |     return _URC_NO_REASON;
#: | }
#: | int *make(int n) { _Unwind_Backtrace(one, 0); frames *= n; return &frames; }
#: | extern int *filled;
#: | int main(void) { printf("%d\n", *filled > 3); }
#: stdout 1
        .bss
        .globl  filled
        .balign 8
        .type   filled, @object
filled: .zero   8
        .size   filled, 8
