//! How far a text that comes in pieces must have come before it is judged. Windows end
//! where a sentence ends, or where one grows too long; where that is depends on the text
//! alone and never on how it was cut on its way.

use serde::Deserialize;

/// How much of a reply is judged at a time, in characters. Judged is always all that has
/// come so far; the sizes say how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSizes {
    /// A window is not shorter, unless the text ends.
    pub least: usize,
    /// Nor is it longer.
    pub most: usize,
}

impl Default for WindowSizes {
    /// Of 543 replies of the corpus's dev files that may be shown whole, windows from 120
    /// characters on blocked 2 and held up 5, windows from 80 on 8 and 28.
    fn default() -> Self {
        Self { least: 120, most: 360 }
    }
}

/// Signs that end a sentence where white space follows.
const ENDS: [char; 4] = ['.', '!', '?', '…'];
/// Signs that end a sentence by themselves.
const ENDS_ALONE: [char; 4] = ['\n', '。', '！', '？'];

/// Where the window that begins at byte `from` of a text ends; `None` where the text has
/// not come that far.
///
/// It ends behind the first sentence that makes it long enough, with the white space
/// that shows that the sentence is over; else behind the last white space before it
/// grows too long; else there.
pub fn window_end(text: &str, from: usize, sizes: WindowSizes) -> Option<usize> {
    let mut before = None;
    let mut space = None;
    for (count, (place, sign)) in (1..).zip(text[from..].char_indices()) {
        let end = from + place + sign.len_utf8();
        if count >= sizes.least {
            let ends = ENDS_ALONE.contains(&sign)
                || sign.is_whitespace() && before.is_some_and(|before| ENDS.contains(&before));
            if ends {
                return Some(end);
            }
            if sign.is_whitespace() {
                space = Some(end);
            }
        }
        if count >= sizes.most {
            return Some(space.unwrap_or(end));
        }
        before = Some(sign);
    }
    None
}

/// Whether more of a text may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ending {
    #[default]
    Open,
    /// Not soon, since another text has begun.
    Paused,
    /// Never.
    Over,
}

/// A text that comes in pieces.
#[derive(Debug, Clone, Default)]
pub struct Growing {
    text: String,
    ending: Ending,
    /// Bytes that were judged, whatever came of it.
    judged: usize,
    /// Bytes that may be shown.
    showable: usize,
    /// Bytes that were shown.
    shown: usize,
    /// Whether all of a text that is over was judged.
    settled: bool,
}

impl Growing {
    /// All that has come.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
        if self.ending == Ending::Paused {
            self.ending = Ending::Open;
        }
    }

    /// Says that no more comes soon: what there is must be judged.
    pub fn pause(&mut self) {
        if self.ending == Ending::Open {
            self.ending = Ending::Paused;
        }
    }

    /// Says that no more comes.
    pub fn end(&mut self) {
        self.ending = Ending::Over;
    }

    /// Bytes that may be shown.
    pub fn showable(&self) -> usize {
        self.showable
    }

    /// Notes that the first `end` bytes were judged and may be shown.
    pub fn may_show(&mut self, end: usize) {
        self.showable = self.showable.max(end);
        self.hold(end);
    }

    /// Notes that the first `end` bytes were judged, and that what of them was not shown
    /// waits for what comes.
    pub fn hold(&mut self, end: usize) {
        self.judged = self.judged.max(end);
        self.settled |= self.ending == Ending::Over && end == self.text.len();
    }

    /// Notes that the first `end` bytes were shown.
    pub fn was_shown(&mut self, end: usize) {
        self.shown = self.shown.max(end);
    }

    /// What may be shown and was not.
    pub fn unshown(&self) -> &str {
        &self.text[self.shown..self.showable.max(self.shown)]
    }

    /// Whether no more comes, or not soon, and all that came may be shown.
    pub fn is_complete(&self) -> bool {
        let all = self.showable == self.text.len() || self.text.trim().is_empty();
        self.ending != Ending::Open && all
    }

    /// Whether anything was shown.
    pub fn is_shown(&self) -> bool {
        self.shown > 0
    }

    /// The beginnings of the text, by their lengths in bytes, that must be judged now, in
    /// their order; the last of a text that is over is all of it. A beginning of nothing
    /// but white space says nothing, so it is none. Without sizes the text is judged where
    /// it pauses or is over and never before.
    pub fn due(&self, sizes: Option<WindowSizes>) -> Vec<usize> {
        let mut due = Vec::new();
        let mut from = self.judged;
        while let Some(end) = sizes.and_then(|sizes| window_end(&self.text, from, sizes)) {
            due.push(end);
            from = end;
        }
        let more = match self.ending {
            Ending::Open => false,
            Ending::Paused => from < self.text.len(),
            Ending::Over => !self.settled,
        };
        due.extend(more.then_some(self.text.len()));
        due.dedup();
        due.retain(|&end| !self.text[..end].trim().is_empty());
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZES: WindowSizes = WindowSizes { least: 4, most: 9 };

    /// The ends of all windows of a whole text, in the words of the rule, over
    /// characters.
    fn naive(text: &str, sizes: WindowSizes) -> Vec<usize> {
        let signs: Vec<char> = text.chars().collect();
        let bytes = |count: usize| signs[..count].iter().map(|sign| sign.len_utf8()).sum::<usize>();
        let (mut ends, mut from) = (Vec::new(), 0);
        loop {
            let is_end = |at: usize| {
                let alone = ENDS_ALONE.contains(&signs[at]);
                alone || signs[at].is_whitespace() && at > from && ENDS.contains(&signs[at - 1])
            };
            let reach = from + sizes.least - 1..(from + sizes.most).min(signs.len());
            let sentence = reach.clone().find(|&at| is_end(at));
            let full = from + sizes.most <= signs.len();
            let space = reach.clone().rev().find(|&at| signs[at].is_whitespace());
            let last = match (sentence, full) {
                (Some(at), _) => at,
                (None, true) => space.unwrap_or(from + sizes.most - 1),
                (None, false) => return ends.into_iter().map(bytes).collect(),
            };
            ends.push(last + 1);
            from = last + 1;
        }
    }

    fn ends(text: &str, sizes: WindowSizes) -> Vec<usize> {
        let mut growing = Growing::default();
        growing.push(text);
        let (mut ends, mut from) = (Vec::new(), 0);
        while let Some(end) = window_end(growing.text(), from, sizes) {
            ends.push(end);
            from = end;
        }
        ends
    }

    #[test]
    fn windows_end_with_sentences_and_not_within_numbers() {
        let sizes = WindowSizes { least: 5, most: 40 };
        let text = "It is 3.14 now. Are you there? Yes";
        let cut: Vec<&str> = ends(text, sizes).iter().map(|&end| &text[..end]).collect();
        assert_eq!(cut, ["It is 3.14 now. ", "It is 3.14 now. Are you there? "]);
        assert_eq!(window_end("It is over.", 0, sizes), None, "whether it is over, the next sign says");
    }

    proptest! {
        #[test]
        fn windows_are_those_of_the_rule(text in "[ab .!?\n é。…]{0,60}", least in 1_usize..6, more in 0_usize..8) {
            let sizes = WindowSizes { least, most: least + more };
            prop_assert_eq!(ends(&text, sizes), naive(&text, sizes));
        }

        #[test]
        fn a_text_in_pieces_is_judged_at_the_same_places_as_a_whole_one(
            pieces in prop::collection::vec("[ab .!?\n é]{0,12}", 0..12),
        ) {
            let whole = pieces.concat();
            let mut expected = naive(&whole, SIZES);
            // All of it is judged when it is over, though a window ended there too.
            expected.push(whole.len());
            expected.retain(|&end| !whole[..end].trim().is_empty());
            let (mut growing, mut judged) = (Growing::default(), Vec::new());
            for piece in pieces.iter().map(Some).chain([None]) {
                match piece {
                    Some(piece) => growing.push(piece),
                    None => growing.end(),
                }
                for end in growing.due(Some(SIZES)) {
                    judged.push(end);
                    growing.may_show(end);
                }
            }
            prop_assert_eq!(judged, expected);
        }
    }
}
