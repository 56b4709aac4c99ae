//! Countries and their regions: where a person is, where a service serves and where
//! a law holds.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A country by its ISO 3166-1 code, such as `CA`, or a region of one by its ISO 3166-2
/// code, such as `CA-QC`. Whether the code has been given to a place is not checked; the
/// European Union has one, `EU`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place(String);

impl Place {
    /// The country, such as `CA`.
    pub fn country(&self) -> &str {
        &self.0[..2]
    }

    /// The region's own part, such as `QC`; `None` for a whole country.
    pub fn region(&self) -> Option<&str> {
        self.0.get(3..)
    }

    /// Whether all of `other` lies in this place, as far as the codes say.
    pub fn covers(&self, other: &Self) -> bool {
        self.country() == other.country() && (self.region().is_none() || self.region() == other.region())
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(found: &str) -> Result<Self, String> {
        let (country, region) = found.split_once('-').map_or((found, None), |(c, r)| (c, Some(r)));
        let is_country = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
        let is_part = |part: &str| {
            let signs = part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            (1..=3).contains(&part.len()) && signs
        };
        if is_country && region.is_none_or(is_part) {
            Ok(Self(found.to_owned()))
        } else {
            Err(format!("found `{found}`, expected a country such as `CA` or a region such as `CA-QC`"))
        }
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(found: String) -> Result<Self, String> {
        found.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.0
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(code: &str) -> Place {
        code.parse().expect("a place")
    }

    #[test]
    fn a_place_is_a_country_or_a_region_of_one() {
        assert_eq!((place("CA").country(), place("CA").region()), ("CA", None));
        assert_eq!((place("CA-QC").country(), place("CA-QC").region()), ("CA", Some("QC")));
        for wrong in ["", "C", "ca", "CAN", "CA-", "CA-qc", "CA-QUEB", "CA-QC-1", "ÄÖ", "C\u{e9}"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_country_covers_its_regions_and_a_region_only_itself() {
        assert!(place("CA").covers(&place("CA")) && place("CA").covers(&place("CA-QC")));
        assert!(place("CA-QC").covers(&place("CA-QC")));
        for (whole, other) in [("CA-QC", "CA"), ("CA-QC", "CA-ON"), ("CA", "US"), ("CA-QC", "US-QC")] {
            assert!(!place(whole).covers(&place(other)), "{whole} {other}");
        }
    }
}
