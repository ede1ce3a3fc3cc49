//! Sizes as text.

/// Suffixes and what they multiply by; the longer ones first.
const SUFFIXES: [(&str, u64); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1000),
    ("K", 1000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

/// Reads a size such as `500M`, `5Gi`, `5GiB`, `1.5G`; a bare number is GiB, as for ccache. `None` for other text and for sizes beyond 2^63.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.strip_suffix('B').unwrap_or(text);
    let (number, unit) = SUFFIXES
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number.trim_end(), *unit)))
        .unwrap_or((text, 1 << 30));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let scale = 10u128.pow(fraction.len() as u32);
    let part = u128::from(fraction.parse::<u64>().unwrap_or(0)) * u128::from(unit) / scale;
    whole.checked_add(part as u64).filter(|size| i64::try_from(*size).is_ok())
}

/// Shows a size so that [`parse_size`] gives it back exactly.
pub(super) fn show_size(size: u64) -> String {
    let binary = SUFFIXES[..4].iter().rev();
    let fits = binary.into_iter().find(|(_, unit)| size > 0 && size.is_multiple_of(*unit));
    match fits {
        Some((suffix, unit)) => format!("{}{suffix}B", size / unit),
        None if size.is_multiple_of(1000) => format!("{}k", size / 1000),
        None => format!("{:.6}k", size as f64 / 1000.0),
    }
}
