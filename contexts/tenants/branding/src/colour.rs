//! Colours that text can be read on, and in, by light and in the dark (WCAG 2.2).

use kernel::Problem;
use serde::{Deserialize, Serialize};

/// Success criterion 1.4.3.
const CONTRAST: f64 = 4.5;
const WHITE: Colour = Colour([255; 3]);
const BLACK: Colour = Colour([0; 3]);
/// The grounds of the pages on which a link is hardest to read: `--sunk` by light and in the dark.
const LIGHT_GROUND: Colour = Colour([0xf0, 0xf3, 0xf6]);
const DARK_GROUND: Colour = Colour([0x1d, 0x27, 0x32]);

/// An sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Colour([u8; 3]);

impl Colour {
    fn parse(at: &str, text: &str) -> Result<Self, Problem> {
        let refused = || Problem::invalid_field(at, "expected a colour such as #1a2b3c");
        let digits = text.strip_prefix('#').filter(|it| it.len() == 6 && it.bytes().all(|c| c.is_ascii_hexdigit()));
        let number = u32::from_str_radix(digits.ok_or_else(refused)?, 16).map_err(|_| refused())?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }

    pub(crate) fn text(self) -> String {
        let Self([red, green, blue]) = self;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// "Relative luminance".
    fn luminance(self) -> f64 {
        let linear = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        let [red, green, blue] = linear;
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// "Contrast ratio".
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// So many of 32 parts on the way to another.
    fn towards(self, other: Self, parts: u32) -> Self {
        let Self([red, green, blue]) = self;
        let Self([to_red, to_green, to_blue]) = other;
        let mixed = |from: u8, to: u8| {
            let sum = u32::from(from) * (32 - parts) + u32::from(to) * parts;
            u8::try_from(sum / 32).unwrap_or(to)
        };
        Self([mixed(red, to_red), mixed(green, to_green), mixed(blue, to_blue)])
    }

    /// As near to this as can be read on the ground: moved towards the end of the scale that stands out from it.
    fn readable_on(self, ground: Self, end: Self) -> Self {
        let steps = (0..32).map(|parts| self.towards(end, parts));
        steps.into_iter().find(|it| it.contrast(ground) >= CONTRAST).unwrap_or(end)
    }
}

/// What a tenant's pages are coloured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Colours {
    /// Of buttons.
    pub(super) accent: Colour,
    /// Of text upon them.
    pub(super) on_accent: Colour,
}

impl Colours {
    /// Refuses colours that people could not read on; where none is given for text, takes what is read better.
    pub(crate) fn parse(accent: Option<&str>, on_accent: Option<&str>) -> Result<Option<Self>, Problem> {
        let Some(accent) = accent else {
            let alone = |_| Err(Problem::invalid_field("/on_accent", "expected together with an accent"));
            return on_accent.map_or(Ok(None), alone);
        };
        let accent = Colour::parse("/accent", accent)?;
        let on_accent = match on_accent {
            Some(text) => Colour::parse("/on_accent", text)?,
            None if accent.contrast(WHITE) >= accent.contrast(BLACK) => WHITE,
            None => BLACK,
        };
        let contrast = accent.contrast(on_accent);
        if contrast < CONTRAST {
            let low = format!("the contrast with the accent is {contrast:.1} to 1, and must be 4.5 to 1 at least");
            return Err(Problem::invalid_field("/on_accent", low));
        }
        Ok(Some(Self { accent, on_accent }))
    }

    /// The accent as links and outlines have it, by light and in the dark.
    fn links(self) -> (Colour, Colour) {
        (self.accent.readable_on(LIGHT_GROUND, BLACK), self.accent.readable_on(DARK_GROUND, WHITE))
    }

    /// A stylesheet that gives these colours to what `selector` selects. It holds numbers only.
    pub(super) fn sheet(self, selector: &str) -> String {
        let (light, dark) = self.links();
        let (act, act_dark) = (light.text(), dark.text());
        let (fill, on_fill) = (self.accent.text(), self.on_accent.text());
        format!("{selector} {{ --act: light-dark({act}, {act_dark}); --fill: {fill}; --on-fill: {on_fill}; }}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_can_be_read_on_the_accent() {
        let chosen = |accent| Colours::parse(Some(accent), None).unwrap().unwrap().on_accent.text();
        assert_eq!((chosen("#1a2b3c"), chosen("#ffee00")), ("#ffffff".to_owned(), "#000000".to_owned()));
        assert!(Colours::parse(Some("#777777"), Some("#ffffff")).is_err(), "4.48 to 1 is too little");
        assert!(Colours::parse(Some("#767676"), Some("#ffffff")).is_ok(), "4.54 to 1 is enough");
        assert!(Colours::parse(None, Some("#ffffff")).is_err() && Colours::parse(None, None).unwrap().is_none());
        for refused in ["red", "#fff", "#12345g", "#+12345", ""] {
            assert!(Colours::parse(Some(refused), None).is_err(), "{refused}");
        }
    }

    #[test]
    fn the_grounds_are_those_of_the_pages() {
        let tokens = include_str!("../../../../crates/look/templates/tokens.css");
        let grounds = format!("--sunk: light-dark({}, {})", LIGHT_GROUND.text(), DARK_GROUND.text());
        assert!(tokens.contains(&grounds), "{grounds}");
        let pair = |name: &str| {
            let (light, dark) =
                tokens.split_once(&format!("--{name}: light-dark(")).unwrap().1.split_once(", ").unwrap();
            [light, dark.split(')').next().unwrap()].map(|text| Colour::parse("", text).unwrap().luminance())
        };
        for other in ["ground", "card"] {
            let ([light, dark], [hard_light, hard_dark]) = (pair(other), pair("sunk"));
            assert!(light >= hard_light && dark <= hard_dark, "links are harder to read on --{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_accent_links_can_be_read_and_buttons_too(parts: [u8; 3]) {
            let accent = Colour(parts);
            let colours = Colours::parse(Some(&accent.text()), None).unwrap().unwrap();
            let (light, dark) = colours.links();
            prop_assert!(light.contrast(LIGHT_GROUND) >= CONTRAST && dark.contrast(DARK_GROUND) >= CONTRAST);
            prop_assert!(colours.accent == accent && accent.contrast(colours.on_accent) >= CONTRAST);
            if accent.contrast(LIGHT_GROUND) >= CONTRAST {
                prop_assert_eq!(light, accent, "what can be read stays as it was chosen");
            }
        }
    }
}
