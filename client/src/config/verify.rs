//! Which hits are held against a compile.

/// What values are allowed, in words.
pub(super) const ALLOWED: &str =
    "never, always, or a share of the hits from 0 to 1, such as 0.01 for one in a hundred";

/// A whole, in parts.
const WHOLE: u32 = 1_000_000;

/// The share of hits for which the compiler runs as well; exact to a millionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verify(u32);

impl Verify {
    /// Reads a value; `None` for one that is not allowed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "never" => Some(Self(0)),
            "always" => Some(Self(WHOLE)),
            _ => {
                let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                let share: f64 = text.parse().ok().filter(|_| plain)?;
                // A share that somebody asked for is never rounded to nothing.
                let parts = (share * f64::from(WHOLE)).ceil();
                (share <= 1.0).then_some(Self(parts as u32))
            }
        }
    }

    /// Shows it as text, as the configuration takes it.
    pub fn show(self) -> String {
        match self.0 {
            0 => "never".to_owned(),
            WHOLE => "always".to_owned(),
            parts => (f64::from(parts) / f64::from(WHOLE)).to_string(),
        }
    }

    /// Whether no hit is verified.
    pub fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Decides about one hit. `draw` gives an even number among all; it is asked only where that decides.
    pub fn chooses(self, draw: impl FnOnce() -> u32) -> bool {
        match self.0 {
            0 => false,
            WHOLE => true,
            parts => (u64::from(draw()) * u64::from(WHOLE)) >> 32 < u64::from(parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Verify {
        Verify::parse(text).expect("it is allowed")
    }

    #[test]
    fn a_share_is_a_number_up_to_one_and_nothing_else() {
        for (text, shown) in
            [("0", "never"), ("1", "always"), ("1.0", "always"), ("0.01", "0.01"), (".5", "0.5")]
        {
            assert_eq!(parse(text).show(), shown, "{text}");
            assert_eq!(parse(shown), parse(text));
        }
        assert_eq!(parse("0.0000001").show(), "0.000001", "not rounded to nothing");
        for text in ["", ".", "2", "1.1", "-0.5", "1%", "1/100", "1e-2", "nan", "inf", "true", "Always"] {
            assert_eq!(Verify::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_share_chooses_that_many_of_all_draws_and_the_ends_do_not_draw() {
        let steps = 1 << 12;
        let chosen = |share: &str| {
            let draws = (0..steps).map(|step: u32| step << 20);
            draws.filter(|draw| parse(share).chooses(|| *draw)).count()
        };
        assert_eq!((chosen("0.25"), chosen("0.5"), chosen("0.01")), (1024, 2048, 41));
        assert!(parse("0.000001").chooses(|| 0) && !parse("0.999999").chooses(|| u32::MAX));
        let no_draw = || panic!("nothing to draw for");
        assert!(parse("always").chooses(no_draw));
        assert!(!parse("never").chooses(no_draw));
    }
}
