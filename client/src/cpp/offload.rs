//! Code for other devices, as OpenMP marks it.

use memchr::memmem::{find, find_iter};

/// Whether a source that clang compiles with OpenMP can hold a region for another device, by pragma or by attribute.
///
/// Words in comments or strings may be taken for one, which costs a hit.
pub(super) fn offloads(text: &[u8]) -> bool {
    if find(text, b"target").is_none() {
        return false;
    }
    find_iter(text, b"omp").any(|at| {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let line = memchr::memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
        let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
        let (before, after) = (&text[line..at], &text[at + 3..end]);
        if before.last().is_some_and(is_word) || after.first().is_some_and(is_word) {
            return false;
        }
        // `omp::directive`, `using omp: directive`
        let attribute = after.trim_ascii_start().first().is_none_or(|byte| *byte == b':');
        let pragma = find(before, b"ragma").is_some();
        // A line that goes on does so in text that nobody has preprocessed.
        attribute || pragma && (find(after, b"target").is_some() || after.trim_ascii_end().ends_with(b"\\"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_for_other_devices_are_told_from_other_directives() {
        let regions = [
            "#pragma omp target\n{}",
            " # pragma  omp  declare target\n",
            "#pragma omp begin declare target",
            "_Pragma(\"omp target teams\")",
            "[[omp::directive(target)]] { }",
            "[[using omp: directive(target)]] { }",
            "[[omp\n::sequence(directive(target))]] { }",
            "#pragma omp \\\n target",
        ];
        for text in regions {
            assert!(offloads(text.as_bytes()), "{text}");
        }
        let others = [
            "#pragma omp parallel for\nint target;",
            "int omp_target_alloc(int); int compare(int target);",
            "#pragma GCC target(\"avx2\")\n#pragma omp simd\n",
            "int omp = 1; int target = omp;",
        ];
        for text in others {
            assert!(!offloads(text.as_bytes()), "{text}");
        }
    }
}
