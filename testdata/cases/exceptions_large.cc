// Large-model code as JITs write it has absolute addresses in its unwind and exception tables too: personality, exception
// tables, types. They become distances, and exceptions still find their way.
//: map {"symbols": [{"address": "0x7f1234560400", "name": "counter", "size": 8}]}
//: place .text.caught symbol counter+0 got
//: flags -O2 -ffunction-sections -fno-pic -fno-pie -mcmodel=large -std=c++14 -Wno-deprecated
//: driver
//: | #include <stdio.h>
//: | long counter;
//: | extern "C" int caught(int);
//: | int main() {
//: |     for (int n = 0; n < 7; n++) printf("%d\n", caught(n));
//: |     printf("counter %ld\n", counter);
//: | }
//: stdout 0
//: stdout 1043
//: stdout 1103
//: stdout 1207
//: stdout 1301
//: stdout 1405
//: stdout 6
//: stdout counter 6
#ifdef SYMBOLIC
extern long counter;
#define COUNTER (&counter)
#else
#define COUNTER ((volatile long *)SESSION(counter))
#endif

extern "C" int caught(int n);

namespace {

struct Own { int value; };
struct Base { virtual ~Base() {} virtual int size() const { return 0; } };
struct Derived : Base { int size() const override { return 3; } };

// Counts that a scope has been left: the tables send control there on the way.
struct Guard {
    int *left;
    ~Guard() { *left += 1000; }
};

__attribute__((noinline)) int thrower(int n) {
    switch (n) {
    case 1: throw 43;
    case 2: throw Derived();
    case 3: throw Own{7};
    case 4: throw "text";
    case 5: throw 5L;
    }
    return n;
}

// An exception specification: types behind the table of types.
__attribute__((noinline)) int specified(int n) throw(int, long, Own, Base, const char *) { return thrower(n); }

}

// A COMDAT: its exception table is a member of the group.
template <class T> __attribute__((noinline)) int passed_on(int n) {
    try {
        return specified(n);
    } catch (T) {
        throw;
    }
}

int caught(int n) {
    int left = 0;
    if (n < 6) ++*COUNTER;
    try {
        if (n == 0) return specified(n);
        if (n == 6) return n;
        Guard guard{&left};
        return passed_on<long>(n);
    } catch (int value) {
        return left + value;
    } catch (const Base &base) {
        return left + 100 + base.size();
    } catch (Own &own) {
        return left + 200 + own.value;
    } catch (const char *text) {
        return left + 300 + (text[0] == 't');
    } catch (...) {
        return left + 405;
    }
}
