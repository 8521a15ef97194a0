//! The search for a loaded library by its build-id, shown libraries of every shape: it finds the right one, reads
//! nothing that is not loaded, and keeps what a function must keep.

#[allow(dead_code)]
mod assembled;

use std::process::Command;

use assembled::{Assembly, run};
use relocfix::arch::Machine;

const PROGRAM: &str = r#"
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <vector>

struct Wanted { uint64_t base; uint32_t size; uint8_t id[20]; } __attribute__((packed));
extern "C" int find_library(dl_phdr_info *, size_t, void *);
extern "C" int find_library_padded(dl_phdr_info *, size_t, void *);

static char *memory; // two pages, and behind them one that faults
static const uint64_t ADDRESS = 0x10123; // of the first loaded byte, as the file counts
static int wrong;

static std::vector<uint8_t> note(const char *name, uint32_t name_size, uint32_t type, const char *contents, uint32_t size, uint32_t align) {
    std::vector<uint8_t> bytes(12);
    memcpy(&bytes[0], &name_size, 4); memcpy(&bytes[4], &size, 4); memcpy(&bytes[8], &type, 4);
    bytes.insert(bytes.end(), name, name + name_size);
    while (bytes.size() % align) bytes.push_back(0xee);
    bytes.insert(bytes.end(), contents, contents + size);
    while (bytes.size() % align) bytes.push_back(0xee);
    return bytes;
}

static const char ID[] = "0123456789abcdefghij";

static std::vector<uint8_t> operator+(std::vector<uint8_t> a, const std::vector<uint8_t> &b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// A library whose only note segment is that, at the very end of what may be read.
static void one(const char *what, std::vector<uint8_t> notes, uint32_t align, bool expected, uint64_t memory_size = 0) {
    char *at = memory + 0x2000 - notes.size();
    memcpy(at, notes.data(), notes.size());
    // The library begins in the first page.
    uint64_t bias = (uint64_t)memory - (ADDRESS & ~0xfffull);
    Elf64_Phdr headers[4] = {};
    headers[0].p_type = PT_PHDR;
    headers[0].p_vaddr = 0x1111;
    headers[1].p_type = PT_NOTE;
    headers[1].p_vaddr = (uint64_t)at - bias;
    headers[1].p_filesz = headers[1].p_memsz = notes.size();
    headers[1].p_align = align;
    headers[2].p_type = PT_LOAD;
    headers[2].p_vaddr = ADDRESS;
    headers[2].p_filesz = 0x2000 - (ADDRESS & 0xfff);
    headers[2].p_memsz = headers[2].p_filesz + memory_size;
    headers[3].p_type = PT_LOAD;
    headers[3].p_vaddr = ADDRESS + 0x100000;
    dl_phdr_info info = {};
    info.dlpi_addr = bias;
    info.dlpi_phdr = headers;
    info.dlpi_phnum = 4;
    for (auto function : {find_library, find_library_padded}) {
        Wanted wanted = {5, 20, {}};
        memcpy(wanted.id, ID, 20);
        int found = function(&info, sizeof info, &wanted);
        if (found != expected || wanted.base != (expected ? (uint64_t)memory : 5)) {
            printf("%s: returned %d, base %#llx\n", what, found, (unsigned long long)wanted.base);
            wrong++;
        }
    }
}

static int each(dl_phdr_info *info, size_t size, void *data) {
    int *count = (int *)data;
    Wanted wanted = {0, 20, {}};
    if (find_library(info, size, &wanted) || wanted.base) wrong++;
    ++*count;
    return 0;
}

int main() {
    memory = (char *)mmap(0, 0x3000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(memory + 0x2000, 0x1000, PROT_NONE);
    auto gnu = [](uint32_t align, uint32_t type = NT_GNU_BUILD_ID, const char *id = ID, uint32_t size = 20) {
        return note("GNU", 4, type, id, size, align);
    };
    one("alone", gnu(4), 4, true);
    one("aligned to eight", gnu(8), 8, true);
    one("no alignment given", gnu(4), 0, true);
    one("behind another", note("Xy", 3, 9, "123", 3, 4) + gnu(4), 4, true);
    one("behind another, eight", note("Xy", 3, 9, "123", 3, 8) + gnu(8), 8, true);
    one("behind one without contents", note("GNU", 4, 9, "", 0, 4) + gnu(4), 4, true);
    one("behind one without a name", note("", 0, 3, "1234", 4, 4) + gnu(4), 4, true);
    one("behind another library's", gnu(4, NT_GNU_BUILD_ID, "0123456789abcdefghik") + gnu(4), 4, true);
    one("other in the first byte", gnu(4, NT_GNU_BUILD_ID, "1123456789abcdefghij"), 4, false);
    one("other in the last byte", gnu(4, NT_GNU_BUILD_ID, "0123456789abcdefghik"), 4, false);
    one("shorter", gnu(4, NT_GNU_BUILD_ID, ID, 16), 4, false);
    one("longer", gnu(4, NT_GNU_BUILD_ID, "0123456789abcdefghijklmn", 24), 4, false);
    one("another type", gnu(4, NT_GNU_ABI_TAG), 4, false);
    one("another name", note("GNX", 4, 3, ID, 20, 4), 4, false);
    one("a longer name", note("GNU\0\0\0\0", 8, 3, ID, 20, 4), 4, false);
    one("nothing", {}, 4, false);
    for (size_t length = 1; length < 36; length++) {
        auto whole = gnu(4);
        whole.resize(length);
        one("cut off", whole, 4, false);
        one("cut off behind another", note("Xy", 3, 9, "123", 3, 4) + whole, 4, false);
    }
    auto huge = gnu(4, 9);
    for (int field : {0, 4}) for (uint32_t size : {0x7fffffffu, 0xffffffffu, 0xfffffffcu, 0xfffffff0u}) {
        auto bad = huge;
        memcpy(&bad[field], &size, 4);
        one("a size that leads out", bad, 4, false);
        one("a size that leads out, eight", bad, 8, false);
    }

    // A note that the program headers do not say is loaded is not read: here nothing is there.
    Elf64_Phdr headers[3] = {};
    headers[0].p_type = PT_LOAD;
    headers[0].p_vaddr = 0x1000;
    headers[0].p_filesz = 0x1000;
    headers[0].p_memsz = 0x10000;
    headers[1].p_type = PT_NOTE;
    headers[1].p_align = 4;
    dl_phdr_info info = {};
    info.dlpi_phdr = headers;
    info.dlpi_phnum = 2;
    Wanted wanted = {0, 20, {}};
    for (uint64_t address : {0xfffull, 0ull, 0x1fe0ull, 0x2000ull, 0x3000ull, ~0ull - 0x10}) {
        headers[1].p_vaddr = address;
        for (uint64_t size : {0x24ull, 0x1000ull, ~0ull}) {
            headers[1].p_filesz = size;
            if (find_library(&info, sizeof info, &wanted)) { puts("found where nothing is"); wrong++; }
        }
    }
    info.dlpi_phnum = 0;
    info.dlpi_phdr = 0;
    if (find_library(&info, sizeof info, &wanted)) wrong++;

    // And the real ones.
    int count = 0;
    dl_iterate_phdr(each, &count);
    printf("%s\n", wrong || count < 3 ? "wrong" : "right");
    return wrong;
}
"#;

#[test]
fn finds_the_right_one_and_reads_nothing_else() {
    let arch = Machine::X86_64.arch();
    let mut assembly = Assembly::default();
    assembly.function("find_library", &arch.find_library(false));
    let padded = arch.find_library(true);
    assert_eq!(padded.code[..4], [0xf3, 0x0f, 0x1e, 0xfa]);
    assert_eq!(padded.code[4..], arch.find_library(false).code);
    assembly.function("find_library_padded", &padded);
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = assembly.link(folder.path(), PROGRAM, &[]) else { return };
    let Some(output) = run(&mut Command::new(program)) else { return };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "right\n", "{output:?}");
    assert!(output.status.success(), "{output:?}");
}

/// Objects carry it.
#[test]
fn it_is_small() {
    let size = Machine::X86_64.arch().find_library(true).code.len();
    assert!(size <= 320, "{size} bytes");
}
