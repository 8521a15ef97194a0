//! Compressed sections (gABI, `SHF_COMPRESSED`): zlib, which compilers write by default. Nothing else is read.

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

/// `ELFCOMPRESS_ZLIB`
const ZLIB: u32 = 1;
/// `Elf64_Chdr`: type, reserved, size, alignment.
const HEADER_SIZE: usize = 24;

/// What a compressed section's contents decompress to, if that is known, well-formed and at most `limit` bytes.
pub(in crate::format) fn decompress(contents: &[u8], limit: usize) -> Option<Vec<u8>> {
    let kind = u32::from_le_bytes(*contents.first_chunk()?);
    let size = u64::from_le_bytes(*contents.get(8..)?.first_chunk()?);
    if kind != ZLIB || usize::try_from(size).ok()? > limit {
        return None;
    }
    let decompressed = decompress_to_vec_zlib_with_limit(contents.get(HEADER_SIZE..)?, limit).ok()?;
    (decompressed.len() as u64 == size).then_some(decompressed)
}
