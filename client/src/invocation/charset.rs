//! Character sets in which sources may be written.

/// Names of character sets, in front of a number, in which each byte below 0x80 stands for ASCII's character, and for nothing else. In others (UTF-16, EBCDIC)
/// directives are other bytes, or (Shift-JIS, Big5, GBK) a part of a character can be a backslash.
const ASCII: [&str; 13] = [
    "ascii",
    "usascii",
    "utf8",
    "iso8859",
    "latin",
    "cp125",
    "windows125",
    "koi8r",
    "koi8u",
    "koi8t",
    "eucjp",
    "euckr",
    "euccn",
];

/// Whether names and directives in a source of this character set are the bytes of ASCII.
pub(super) fn holds_ascii(name: &[u8]) -> bool {
    let plain = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
    let plain: Vec<u8> = plain.collect();
    // What follows a slash changes what is converted, not from what.
    let known = !name.contains(&b'/');
    let is_number = |rest: &[u8]| rest.iter().all(u8::is_ascii_digit);
    known && ASCII.iter().any(|start| plain.strip_prefix(start.as_bytes()).is_some_and(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets_with_other_bytes_or_backslashes_in_characters_are_told() {
        for name in [
            "UTF-8",
            "utf8",
            "ISO-8859-1",
            "ISO_8859-15",
            "LATIN1",
            "windows-1252",
            "CP1251",
            "US-ASCII",
            "KOI8-R",
            "EUC-JP",
        ] {
            assert!(holds_ascii(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "UTF-16",
            "UTF-32LE",
            "UTF-7",
            "UCS-2",
            "IBM1047",
            "CP037",
            "SJIS",
            "SHIFT-JIS",
            "BIG5",
            "GBK",
            "GB18030",
            "ISO-2022-JP",
            "UHC",
            "JOHAB",
            "UTF-8//TRANSLIT",
        ] {
            assert!(!holds_ascii(name.as_bytes()), "{name}");
        }
    }
}
