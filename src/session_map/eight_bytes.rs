//! Text eight bytes at a time: where a string of JSON ends, what hexadecimal digits are, and whether two texts begin alike.

/// Of each of eight bytes the lowest bit, and the highest.
const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// Whether bytes begin with a few others: for so few no function of a library is called.
#[inline(always)]
pub(super) fn starts_with(bytes: &[u8], word: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..word.len()) else { return false };
    let eight = |bytes: &[u8], at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).copied();
    let mut at = 0;
    while at + 8 <= word.len() {
        if eight(bytes, at) != eight(word, at) {
            return false;
        }
        at += 8;
    }
    match word.len().checked_sub(8) {
        Some(last) => eight(bytes, last) == eight(word, last),
        None => bytes.iter().zip(word).all(|(one, other)| one == other),
    }
}

/// The number that eight bytes are in hexadecimal, the first one its highest digit; `None`: one of them is no digit.
#[inline(always)]
pub(super) fn hexadecimal_digits(bytes: u64) -> Option<u32> {
    // Of each byte that is not less the highest bit, if none has it already.
    let reaches = |bytes: u64, limit: u8| bytes.wrapping_add(ONES * u64::from(0x80 - limit));
    let (ascii, lower) = (bytes & !HIGH, (bytes & !HIGH) | (ONES * 0x20));
    let digits = reaches(ascii, b'0') & !reaches(ascii, b'9' + 1);
    let letters = reaches(lower, b'a') & !reaches(lower, b'f' + 1) & HIGH;
    if bytes & HIGH != 0 || (digits | letters) & HIGH != HIGH {
        return None;
    }
    // The low half of a letter is one less than what it stands for is more than nine. Two and two numbers become one.
    let ones = (bytes & (ONES * 0xf)) + (letters >> 7) * 9;
    let twos = ((ones << 4) | (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = ((twos << 8) | (twos >> 16)) & 0x0000_ffff_0000_ffff;
    Some(((fours << 16) | (fours >> 32)) as u32)
}

/// How long a string is, whose first byte is given, up to the first byte that ends it or makes it one that is not read here.
#[inline(always)]
pub(super) fn string_length(bytes: &[u8]) -> Option<usize> {
    // Eight bytes at a time: of each that ends the string the highest bit becomes 1, and of none before the first of those.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, last) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = below(word, b' ') | is(word, b'"') | is(word, b'\\');
        if ends != 0 {
            return Some(number * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    let length = last.iter().position(|&byte| byte < b' ' || matches!(byte, b'"' | b'\\'))?;
    Some(words.len() * 8 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_the_first_byte_that_ends_them() {
        for length in 0..40 {
            for byte in 0..=u8::MAX {
                let mut text = vec![b'a'; 40];
                text[length] = byte;
                text.extend(b"\"\\\n");
                let ends = byte < b' ' || byte == b'"' || byte == b'\\';
                assert_eq!(string_length(&text), Some(if ends { length } else { 40 }), "{byte} at {length}");
            }
        }
        assert_eq!(string_length(b"abcdefgh"), None);
        assert_eq!(string_length(b"abcdefghi"), None);
    }

    #[test]
    fn eight_digits_are_one_number() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                for other in [b'0', b'9', b'a', b'F'] {
                    let mut bytes = [other; 8];
                    bytes[at] = byte;
                    let digits = std::str::from_utf8(&bytes).ok().filter(|text| !text.starts_with('+'));
                    let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                    assert_eq!(hexadecimal_digits(u64::from_le_bytes(bytes)), number, "{bytes:?}");
                }
            }
        }
        assert_eq!(hexadecimal_digits(u64::from_le_bytes(*b"89aBcDeF")), Some(0x89ab_cdef));
    }

    #[test]
    fn bytes_begin_with_those_that_they_begin_with() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..40 {
            assert!(starts_with(&text, &text[..length]) && starts_with(&text[..length], &text[..length]));
            assert!(!starts_with(&text[..length], &text[..=length]));
            for wrong in 0..length {
                let mut word = text[..length].to_vec();
                word[wrong] ^= 0x80;
                assert!(!starts_with(&text, &word), "{wrong} of {length}");
            }
        }
    }
}
