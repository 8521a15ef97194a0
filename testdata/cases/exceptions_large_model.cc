// The personality, the language-specific data and the type infos are absolute in this code model: read-only tables
// that would need text relocations.
//: flags -O1 -mcmodel=large -fno-pic
//: place none
//: driver
//: | #include <cstdio>
//: | #include <stdexcept>
//: | struct mine { int code; };
//: | int guarded(int);
//: | extern int cleaned;
//: | void thrower(int n) {
//: |     if (n == 1) throw mine{40};
//: |     if (n == 2) throw std::runtime_error("two");
//: |     if (n == 3) throw 3L;
//: | }
//: | int main() {
//: |     for (int n = 0; n < 4; n++) std::printf("%d ", guarded(n));
//: |     std::printf("%d\n", cleaned);
//: | }
//: stdout 0 41 3 -1 4
#include <stdexcept>

struct mine {
    int code;
};
void thrower(int);
int cleaned;

namespace {
struct guard {
    ~guard() { cleaned++; }
};
}

int guarded(int n) {
    try {
        guard g;
        thrower(n);
        return 0;
    } catch (const mine &m) {
        return m.code + 1;
    } catch (const std::exception &e) {
        return e.what()[2] == 'o' ? 3 : 4;
    } catch (...) {
        return -1;
    }
}
